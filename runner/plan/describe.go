package plan

// Description is a plan in JSON.
type Description struct {
	Experiment string                   `json:"experiment"`
	Counts     map[string]map[State]int `json:"counts"`
	Actions    []ActionDescription      `json:"actions"`
	// Changes is set when the plan was compared with another.
	Changes []Change `json:"changes,omitempty"`
}

// ActionDescription is an action in JSON.
type ActionDescription struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`
	State  State    `json:"state"`
	Key    string   `json:"key,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Inputs []string `json:"inputs,omitempty"`
	Cost   Cost     `json:"cost"`
}

// Describe describes the plan and, if it was compared with another, the changes.
func (p *Plan) Describe(changes []Change) Description {
	d := Description{Experiment: p.Experiment, Counts: map[string]map[State]int{}, Actions: []ActionDescription{}, Changes: changes}
	for _, a := range p.Actions {
		if d.Counts[a.Kind] == nil {
			d.Counts[a.Kind] = map[State]int{}
		}
		d.Counts[a.Kind][a.State]++
		x := ActionDescription{Name: a.Name, Kind: a.Kind, State: a.State, Key: a.Key, Reason: a.Reason, Cost: a.Cost}
		for _, in := range a.Inputs {
			x.Inputs = append(x.Inputs, in.Upstream.Name)
		}
		d.Actions = append(d.Actions, x)
	}
	return d
}
