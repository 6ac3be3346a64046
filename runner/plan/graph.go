package plan

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxNodes is the maximum number of actions that a picture shows individually. In a picture of a larger plan, actions
// of the same kind and model share one node.
const maxNodes = 150

// node is a box in the picture: one or more actions.
type node struct {
	id, label string
	kind      string
	actions   int
	states    map[State]int
	from      []*node
}

func (p *Plan) nodes() []*node {
	whole := len(p.Actions) <= maxNodes
	of := make([]*node, len(p.Actions))
	byLabel := map[string]*node{}
	var nodes []*node
	for _, a := range p.Actions {
		label := a.Name
		if !whole {
			label = strings.TrimSpace(a.Kind + " " + a.Labels.Model)
		}
		n := byLabel[label]
		if n == nil {
			n = &node{id: fmt.Sprintf("n%d", len(nodes)), label: label, kind: a.Kind, states: map[State]int{}}
			byLabel[label] = n
			nodes = append(nodes, n)
		}
		n.actions++
		n.states[a.State]++
		of[a.Index] = n
		for _, in := range a.Inputs {
			if up := of[in.Upstream.Index]; !slices.Contains(n.from, up) {
				n.from = append(n.from, up)
			}
		}
	}
	return nodes
}

// caption returns the name and the state of the node.
func (n *node) caption() (name, state string) {
	var parts []string
	for _, s := range []State{Pending, Waits, Cached, Skipped} {
		switch c := n.states[s]; {
		case c == 0:
		case n.actions == 1:
			parts = append(parts, string(s))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", c, s))
		}
	}
	return n.label, strings.Join(parts, ", ")
}

func (n *node) color() string {
	switch {
	case n.states[Cached] == n.actions:
		return "#d9ead3"
	case n.states[Skipped] == n.actions:
		return "#eeeeee"
	case n.states[Waits] == n.actions:
		return "#fff2cc"
	}
	return "#cfe2f3"
}

// WriteDOT writes the graph in the DOT language of Graphviz.
func (p *Plan) WriteDOT(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "digraph %q {\n  rankdir=LR\n  node [shape=box style=filled fontname=\"sans-serif\"]\n", p.Experiment)
	for _, n := range p.nodes() {
		name, state := n.caption()
		fmt.Fprintf(out, "  %s [label=%q fillcolor=%q]\n", n.id, name+"\n"+state, n.color())
		for _, up := range n.from {
			fmt.Fprintf(out, "  %s -> %s\n", up.id, n.id)
		}
	}
	fmt.Fprintln(out, "}")
	return out.Flush()
}

// Sizes of the SVG picture in pixels.
const (
	boxHeight   = 40
	boxGap      = 14
	columnGap   = 90
	margin      = 20
	letterWidth = 7
)

// WriteSVG writes the graph as a picture with a column for each kind of action.
func (p *Plan) WriteSVG(w io.Writer) error {
	type place struct{ x, y, width int }
	places := map[*node]place{}
	nodes := p.nodes()
	x, height := margin, 0
	for _, k := range p.Kinds {
		var column []*node
		width := 0
		for _, n := range nodes {
			if n.kind == k {
				column = append(column, n)
				name, state := n.caption()
				width = max(width, letterWidth*max(utf8.RuneCountInString(name), utf8.RuneCountInString(state))+20)
			}
		}
		if len(column) == 0 {
			continue
		}
		for i, n := range column {
			places[n] = place{x, margin + i*(boxHeight+boxGap), width}
		}
		x += width + columnGap
		height = max(height, 2*margin+len(column)*(boxHeight+boxGap)-boxGap)
	}
	out := bufio.NewWriter(w)
	width := max(x-columnGap+margin, 2*margin)
	fmt.Fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n",
		width, height, width, height)
	fmt.Fprintf(out, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", xmlText(p.Experiment))
	for _, n := range nodes {
		to := places[n]
		for _, up := range n.from {
			from := places[up]
			x1, y1, x2, y2 := from.x+from.width, from.y+boxHeight/2, to.x, to.y+boxHeight/2
			fmt.Fprintf(out, "<path d=\"M%d %d C%d %d %d %d %d %d\" fill=\"none\" stroke=\"#99a\" stroke-width=\"1\"/>\n",
				x1, y1, x1+columnGap/2, y1, x2-columnGap/2, y2, x2, y2)
		}
	}
	for _, n := range nodes {
		at := places[n]
		name, state := n.caption()
		fmt.Fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\" fill=\"%s\" stroke=\"#667\"/>\n", at.x, at.y, at.width, boxHeight, n.color())
		fmt.Fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text><text x=\"%d\" y=\"%d\" fill=\"#556\">%s</text>\n",
			at.x+10, at.y+17, xmlText(name), at.x+10, at.y+32, xmlText(state))
	}
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

// xmlText escapes s as text of an XML document. Characters that XML does not allow are replaced.
func xmlText(s string) string {
	var b strings.Builder
	// Writing to a strings.Builder never fails.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
