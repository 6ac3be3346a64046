package glob

// mode is how a node was reached.
type mode uint8

const (
	within    mode = iota // within a segment of the glob
	atStart               // at the beginning of a segment of the glob
	afterTwo              // after "**" at the beginning of a segment: "/" or the end must follow
	afterDot              // after "." at the beginning of a segment: "/" must follow
	directory             // in "**/", at the "/": at the beginning of a segment of the name
	inside                // in "**/", at the "/": within a segment of the name
	modes     = 6
)

// state is a node, how it was reached, and whether a wildcard was passed on the way.
type state struct {
	node int
	mode mode
	wild bool
}

// states is a set of states, in the order in which they were added.
type states []state

// begin begins a new set.
func (g *Glob) begin() {
	if g.round++; g.round == 0 {
		clear(g.seen)
		g.round = 1
	}
}

// add adds a state and all that it leads to without a character.
func (g *Glob) add(set states, x state) states {
	pending := []state{x}
	for len(pending) > 0 {
		x := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		i := (x.node*modes+int(x.mode))*2 + btoi(x.wild)
		if g.seen[i] == g.round {
			continue
		}
		g.seen[i] = g.round
		set = append(set, x)
		pending = g.empty(pending, x)
	}
	return set
}

// empty appends the states that x leads to without a character.
func (g *Glob) empty(pending []state, x state) []state {
	n := &g.nodes[x.node]
	switch {
	case x.mode == directory:
		return append(pending, state{n.next, atStart, true})
	case x.mode == inside:
		return pending
	case n.kind == choice:
		for _, option := range n.options {
			pending = append(pending, state{option, x.mode, x.wild})
		}
		return pending
	case x.mode == afterTwo:
		if n.kind == literal && n.r == '/' {
			pending = append(pending, state{x.node, directory, true})
		}
		return pending
	case x.mode == afterDot:
		if n.kind == literal && n.r == '/' {
			pending = append(pending, state{n.next, atStart, x.wild})
		}
		return pending
	case n.kind == star || n.kind == twoStar:
		pending = append(pending, state{n.next, within, true})
	}
	if x.mode != atStart {
		return pending
	}
	switch {
	case n.kind == twoStar:
		pending = append(pending, state{n.next, afterTwo, true})
	case g.files && n.kind == literal && n.r == '.':
		pending = append(pending, state{n.next, afterDot, x.wild})
	case g.files && n.kind == literal && n.r == '/':
		pending = append(pending, state{n.next, atStart, x.wild})
	}
	return pending
}

// step returns the states after a character.
func (g *Glob) step(set states, r rune) states {
	g.begin()
	var after states
	for _, x := range set {
		n := &g.nodes[x.node]
		switch x.mode {
		case directory, inside:
			next := inside
			if r == '/' {
				next = directory
			}
			after = g.add(after, state{x.node, next, true})
			continue
		case afterTwo:
			if n.kind == end {
				after = g.add(after, x)
			}
			continue
		case afterDot:
			continue
		}
		switch {
		case n.kind == star || n.kind == twoStar:
			if r != '/' {
				after = g.add(after, state{x.node, within, true})
			}
		case n.matches(r):
			next := within
			if n.kind == literal && r == '/' {
				next = atStart
			}
			after = g.add(after, state{n.next, next, x.wild || n.kind != literal})
		}
	}
	return after
}

func (g *Glob) steps(set states, text string) states {
	for _, r := range text {
		if set = g.step(set, r); len(set) == 0 {
			break
		}
	}
	return set
}

// accepts reports whether a name that leads to the states matches.
func (g *Glob) accepts(set states) bool {
	for _, x := range set {
		if g.nodes[x.node].kind == end && x.mode != afterDot {
			return true
		}
	}
	return false
}

// Match reports whether the glob matches a whole name. "a/**" also matches "a".
func (g *Glob) Match(name string) bool {
	g.files = false
	g.begin()
	set := g.steps(g.add(nil, state{g.start, atStart, false}), name)
	if g.accepts(set) {
		return true
	}
	for _, x := range g.step(set, '/') {
		if g.nodes[x.node].kind == end && x.mode == afterTwo {
			return true
		}
	}
	return false
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
