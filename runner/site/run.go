package site

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
)

// runKind is the kind of the page of an experiment's plan.
const runKind = "run"

// actionRow is a row of the table of actions.
type actionRow struct {
	Action  string `parquet:"action"`
	Kind    string `parquet:"kind,dict"`
	Dataset string `parquet:"dataset,dict"`
	Model   string `parquet:"model,dict"`
	State   string `parquet:"state,dict"`
	Key     string `parquet:"key"`
	// Name is that under which the result was computed, if it is another one.
	ComputedAs string   `parquet:"computed_as,optional"`
	Started    string   `parquet:"started,optional"`
	Seconds    *float64 `parquet:"seconds,optional"`
	Documents  int64    `parquet:"documents"`
	Bytes      int64    `parquet:"bytes"`
	Worker     string   `parquet:"worker,dict"`
	Computed   *int64   `parquet:"computed,optional"`
	Warnings   []string `parquet:"warnings,list"`
}

// runDetails is what the page of a run shows first.
type runDetails struct {
	Runs []run `json:"runs"`
	// States counts the actions by state, and Seconds adds up the durations by kind.
	States  map[string]int     `json:"states"`
	Seconds map[string]float64 `json:"seconds"`
	// Computed are the different descriptions of hardware and software.
	Computed []any `json:"computed"`
}

type runHeadline struct {
	Actions  int            `json:"actions"`
	States   map[string]int `json:"states"`
	Warnings int            `json:"warnings"`
}

// run adds the page of the plan and of what its actions took.
func (x *exporter) run(ctx context.Context, e *Experiment, m *manifest) error {
	p := &publisher{x, e}
	d := runDetails{Runs: runsOf(e), States: map[string]int{}, Seconds: map[string]float64{}, Computed: []any{}}
	states := e.recorded()
	var computed numbering
	var rows []actionRow
	warnings := 0
	for _, a := range e.Plan.Actions {
		ok, err := p.wholly(ctx, a)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		row := actionRow{
			Action: a.Name, Kind: a.Kind, Dataset: a.Labels.Dataset, Model: a.Labels.Model, State: states.of(a), Key: a.Key,
			Documents: a.Cost.Documents, Bytes: a.Cost.Bytes,
		}
		if a.Worker != nil {
			row.Worker = a.Worker.Name + " " + a.Worker.Version
		}
		if err := p.fill(ctx, a, &row, &computed); err != nil {
			return err
		}
		if row.Seconds != nil {
			d.Seconds[a.Kind] += *row.Seconds
		}
		d.States[row.State]++
		warnings += len(row.Warnings)
		rows = append(rows, row)
	}
	for _, v := range computed.values {
		d.Computed = append(d.Computed, v)
	}
	page := &action.Page{Title: "latest", Files: map[string]action.PageFile{}, Headline: runHeadline{len(rows), d.States, warnings}}
	var err error
	if page.Files["actions"], err = action.PublishTable(p, action.Rows(rows), func(*actionRow) int { return 512 }); err != nil {
		return err
	}
	if page.Files[action.Details], err = p.JSON(d); err != nil {
		return err
	}
	return m.add(e, runKind, "latest", "", page)
}

// stateKey identifies what a run recorded of a result of an action.
type stateKey struct {
	name, key string
	// finished means that the run had the result.
	finished bool
}

// states are the states of actions in the latest run that recorded them.
type states map[stateKey]string

// recorded returns the states in the runs of an experiment.
func (e *Experiment) recorded() states {
	found := states{}
	for _, r := range slices.Backward(e.Runs) {
		if r.Experiment != e.Plan.Experiment {
			continue
		}
		for _, a := range r.Actions {
			key := stateKey{a.Name, a.Key, isFinished(plan.State(a.State))}
			if _, later := found[key]; !later {
				found[key] = a.State
			}
		}
	}
	return found
}

func isFinished(s plan.State) bool { return s == plan.Done || s == plan.Cached }

// of returns the state of an action in the latest run that agrees with the store on whether there is a result. Without
// such a run, it is that in the store: a killed run recorded nothing, and a result may be that of another experiment.
func (s states) of(a *plan.Action) string {
	if state, ok := s[stateKey{a.Name, a.Key, isFinished(a.State)}]; ok {
		return state
	}
	return string(a.State)
}

// fill adds what the store knows of an action.
func (p *publisher) fill(ctx context.Context, a *plan.Action, row *actionRow, computed *numbering) error {
	if a.Outputs == nil || a.Key == "" {
		return nil
	}
	r, err := p.e.Record(ctx, a.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // It was deleted meanwhile.
	}
	if err != nil {
		return err
	}
	if r.Name != a.Name && p.unfiltered() {
		row.ComputedAs = r.Name
	}
	seconds := r.Finished.Sub(r.Started).Seconds()
	row.Started, row.Seconds = r.Started.UTC().Format(time.RFC3339), &seconds
	if p.choice.text == action.TextAll {
		row.Warnings = r.Warnings // They may quote rows.
	}
	if len(r.Computed) > 0 {
		n, err := computed.number(r.Computed)
		row.Computed = &n
		return err
	}
	return nil
}

// unfiltered reports whether all datasets are published.
func (x *exporter) unfiltered() bool { return len(x.choice.patterns)+len(x.choice.tags) == 0 }

// wholly reports whether all datasets that an action uses are published, also those on which its model was trained.
func (p *publisher) wholly(ctx context.Context, a *plan.Action) (bool, error) {
	if p.unfiltered() {
		return true, nil
	}
	measured, err := action.Measured(ctx, a, p)
	for dataset, tags := range measured {
		if !p.choice.publishes(dataset, tags) {
			return false, err
		}
	}
	return true, err
}
