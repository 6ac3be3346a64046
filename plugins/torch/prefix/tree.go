package prefix

import "slices"

// Least is the smallest number of tokens for which a beginning is shared, unless the sequence ends with it. Dividing a
// sequence for fewer, such as the prefix token that all sequences begin with, costs about as much as it saves.
const Least = 16

// Tree holds the sequences of a batch. Sequences that begin with the same Least or more tokens share segments.
type Tree struct {
	// Separate is true if no tokens are shared.
	Separate bool

	segments []node
	// starts are the segments by their parent and first tokens. At most one is found for a sequence: two with the same
	// first tokens would share them.
	starts map[start]int
	tokens int
	// leaves are the last segments of the sequences, and lengths their numbers of tokens.
	leaves, lengths []int
}

// node is a part of one sequence or several. parent is -1 if it starts at position 0.
type node struct {
	parent, start int
	tokens        []int32
}

// start has the first n tokens, at most Least.
type start struct {
	parent, n int
	tokens    [Least]int32
}

func startOf(parent int, tokens []int32) start {
	s := start{parent: parent}
	s.n = copy(s.tokens[:], tokens)
	return s
}

// none is the parent of segments that start at position 0.
const none = -1

// Tokens returns the number of tokens of all segments.
func (t *Tree) Tokens() int { return t.tokens }

// Len returns the number of sequences.
func (t *Tree) Len() int { return len(t.leaves) }

// New returns how many tokens a sequence would add to Tokens.
func (t *Tree) New(tokens []int32) int { return len(tokens) - t.find(tokens).shared() }

// place is where a sequence leaves the tree: after the first same tokens of a segment, or if that is none at its start.
type place struct{ segment, start, same int }

// shared is the number of tokens up to the place.
func (p place) shared() int { return p.start + p.same }

func (t *Tree) find(tokens []int32) place {
	at := place{segment: none}
	for {
		rest := tokens[at.shared():]
		next, ok := t.next(at.segment, rest)
		if !ok {
			return at
		}
		of := t.segments[next].tokens
		same := 0
		for same < min(len(of), len(rest)) && of[same] == rest[same] {
			same++
		}
		at = place{next, t.segments[next].start, same}
		if same < len(of) {
			return at
		}
	}
}

// next returns the segment after a parent that begins like the tokens, or that they are if they are fewer than Least.
func (t *Tree) next(parent int, tokens []int32) (int, bool) {
	if t.Separate || len(tokens) == 0 {
		return none, false
	}
	i, ok := t.starts[startOf(parent, tokens)]
	return i, ok
}

// Add adds a sequence of at least one token. The tree keeps the tokens.
func (t *Tree) Add(tokens []int32) {
	at := t.find(tokens)
	leaf := at.segment
	if rest := tokens[at.shared():]; len(rest) > 0 {
		if at.segment != none && at.same < len(t.segments[at.segment].tokens) {
			leaf = t.split(at)
		}
		t.tokens += len(rest)
		leaf = t.insert(node{leaf, at.shared(), rest})
	}
	t.leaves, t.lengths = append(t.leaves, leaf), append(t.lengths, len(tokens))
}

func (t *Tree) insert(n node) int {
	t.segments = append(t.segments, n)
	t.register(len(t.segments) - 1)
	return len(t.segments) - 1
}

func (t *Tree) register(i int) {
	if t.starts == nil {
		t.starts = map[start]int{}
	}
	t.starts[startOf(t.segments[i].parent, t.segments[i].tokens)] = i
}

// split makes the tokens of a segment up to a place a new segment and returns it. The rest keeps its number, which its
// children know.
func (t *Tree) split(at place) int {
	below := &t.segments[at.segment]
	above := node{below.parent, below.start, below.tokens[:at.same]}
	below.parent, below.start, below.tokens = len(t.segments), at.shared(), below.tokens[at.same:]
	i := t.insert(above)
	t.register(at.segment)
	return i
}

// Segment is a part of one sequence or several. The segments of a layout follow each other.
type Segment struct {
	// Parent is the number of the segment that ends where this one starts, a smaller one, or -1.
	Parent int
	// Start is the position of the first token.
	Start  int
	Tokens []int32
	// Row is the number of the first token among those of all segments.
	Row int
}

// Layout is a tree whose tokens have rows.
type Layout struct {
	Segments []Segment
	// leaves are the last segments of the sequences.
	leaves, lengths []int
}

// Layout returns the segments, each after its parent, in the order of the sequences.
func (t *Tree) Layout() Layout {
	l := Layout{lengths: t.lengths}
	numbers := slices.Repeat([]int{none}, len(t.segments))
	row := 0
	var place func(i int) int
	place = func(i int) int {
		if i == none {
			return none
		}
		if numbers[i] != none {
			return numbers[i]
		}
		n := t.segments[i]
		parent := place(n.parent)
		numbers[i] = len(l.Segments)
		l.Segments = append(l.Segments, Segment{parent, n.start, n.tokens, row})
		row += len(n.tokens)
		return numbers[i]
	}
	for _, leaf := range t.leaves {
		l.leaves = append(l.leaves, place(leaf))
	}
	return l
}

// Rows returns the rows of the tokens of sequence i.
func (l Layout) Rows(i int) []int64 {
	rows := make([]int64, l.lengths[i])
	segment := l.Segments[l.leaves[i]]
	for p := len(rows) - 1; p >= 0; p-- {
		for p < segment.Start {
			segment = l.Segments[segment.Parent]
		}
		rows[p] = int64(segment.Row + p - segment.Start)
	}
	return rows
}
