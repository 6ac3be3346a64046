package glob

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// MaxBytes is the maximum length of a glob in bytes.
const MaxBytes = 16 << 10

// Glob is a parsed glob. It may be used by one goroutine at a time.
type Glob struct {
	nodes []node
	start int
	// seen marks the states that were added to a set; it holds the round in which they were.
	seen  []uint32
	round uint32
	// files is true while files are searched: names have no empty segments, "." and "" in a glob are skipped, and a name
	// that "**" matches is below a directory.
	files bool
}

type kind uint8

const (
	literal kind = iota
	any1         // ?
	class        // [...]
	star         // *
	twoStar      // **
	choice       // {...}
	end
)

// node is a step of the automaton. It leads to next, or to each of options if it is a choice.
type node struct {
	kind    kind
	r       rune
	negated bool
	ranges  [][2]rune
	next    int
	options []int
}

// Parse parses a glob. Its error completes a sentence that begins with the glob.
func Parse(pattern string) (*Glob, error) {
	if len(pattern) > MaxBytes {
		return nil, fmt.Errorf("is a glob of %d bytes; at most %d are allowed; use a shorter one", len(pattern), MaxBytes)
	}
	if !doublestar.ValidatePattern(pattern) {
		return nil, errors.New(`is not a glob: a "[" or "{" is not closed, or it ends with "\"; put "\" before a character to make it literal`)
	}
	p := &parser{rest: pattern}
	sequence := p.sequence(0)
	g := &Glob{nodes: []node{{kind: end}}}
	g.start = g.build(sequence, 0)
	g.seen = make([]uint32, len(g.nodes)*modes*2)
	return g, nil
}

// part is an element of a parsed glob; the options of a choice are sequences of parts.
type part struct {
	node
	choices [][]part
}

type parser struct{ rest string }

// sequence parses until the end of the glob or, within braces, of the alternative.
func (p *parser) sequence(depth int) []part {
	var parts []part
	for p.rest != "" {
		switch c := p.rest[0]; {
		case depth > 0 && (c == ',' || c == '}'):
			return parts
		case c == '*':
			rest := strings.TrimLeft(p.rest, "*")
			k := star
			if len(p.rest)-len(rest) == 2 {
				k = twoStar
			}
			p.rest = rest
			parts = append(parts, part{node: node{kind: k}})
		case c == '?':
			p.rest = p.rest[1:]
			parts = append(parts, part{node: node{kind: any1}})
		case c == '[':
			parts = append(parts, part{node: p.class()})
		case c == '{':
			parts = append(parts, part{node: node{kind: choice}, choices: p.choices(depth)})
		default:
			parts = append(parts, part{node: node{kind: literal, r: p.character()}})
		}
	}
	return parts
}

// character parses a character, which may be escaped.
func (p *parser) character() rune {
	if p.rest[0] == '\\' && len(p.rest) > 1 {
		p.rest = p.rest[1:]
	}
	r, n := utf8.DecodeRuneInString(p.rest)
	p.rest = p.rest[n:]
	return r
}

func (p *parser) choices(depth int) [][]part {
	var all [][]part
	for p.rest != "" && p.rest[0] != '}' {
		p.rest = p.rest[1:] // "{" or ","
		all = append(all, p.sequence(depth+1))
	}
	if p.rest != "" {
		p.rest = p.rest[1:]
	}
	return all
}

// class parses a character class.
func (p *parser) class() node {
	n := node{kind: class}
	p.rest = p.rest[1:]
	if p.rest[0] == '^' || p.rest[0] == '!' {
		n.negated, p.rest = true, p.rest[1:]
	}
	for p.rest != "" && p.rest[0] != ']' {
		from := p.character()
		to := from
		if len(p.rest) > 1 && p.rest[0] == '-' && p.rest[1] != ']' {
			p.rest = p.rest[1:]
			to = p.character()
		}
		n.ranges = append(n.ranges, [2]rune{from, to})
	}
	if p.rest != "" {
		p.rest = p.rest[1:]
	}
	return n
}

// build adds the nodes of a sequence that leads to next, and returns its first node.
func (g *Glob) build(parts []part, next int) int {
	for i := len(parts) - 1; i >= 0; i-- {
		n := parts[i].node
		n.next = next
		for _, alternative := range parts[i].choices {
			n.options = append(n.options, g.build(alternative, next))
		}
		g.nodes = append(g.nodes, n)
		next = len(g.nodes) - 1
	}
	return next
}

// matches reports whether a node that stands for one character matches it.
func (n *node) matches(r rune) bool {
	switch n.kind {
	case literal:
		return r == n.r
	case any1:
		return r != '/'
	case class:
		if r == '/' {
			return false
		}
		for _, x := range n.ranges {
			if x[0] <= r && r <= x[1] {
				return !n.negated
			}
		}
		return n.negated
	}
	return false
}
