package kneserney

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
)

// MaxOrder is the highest order of a model.
const MaxOrder = 10

// beginning is the symbol before a sequence. It sorts after every other symbol.
const beginning = math.MaxUint32

// root is the node of the empty n-gram.
const root = 0

// Counts holds how often each n-gram occurs in the sequences added so far. Its memory grows with the number of distinct
// n-grams: about 40 bytes each, and as much again while they are written.
//
// An occurrence is counted at the longest n-gram that ends there: an n-gram of the model's order, or a shorter one that
// starts with the beginning of the sequence. All other counts follow from these; see Read.
type Counts struct {
	order   int
	nodes   []countNode
	table   []slot // open addressing with linear probing, sorted by hash but for collisions
	shift   uint   // 32 less the binary logarithm of the table's length
	history uint32
	depth   int
	full    bool
}

// maxNodes is the capacity of the largest table whose slots a hash can address.
const maxNodes = 3 << 30

// countNode is an n-gram: its parent's n-gram plus one symbol. Parents and suffixes precede it in Counts.nodes.
type countNode struct {
	parent, symbol, suffix uint32
	count                  uint64
}

// slot is the place of a node, or empty if id is 0, because the root has no parent through which to find it. Its hash
// avoids most reads of nodes that do not match, each of which would likely miss the processor's caches.
type slot struct {
	hash, id uint32
}

// NewCounts returns empty counts for a model of an order in [1, MaxOrder].
func NewCounts(order int) *Counts {
	const initialBits = 10
	return &Counts{
		order: order,
		nodes: make([]countNode, 1),
		table: make([]slot, 1<<initialBits),
		shift: 32 - initialBits,
	}
}

// Begin starts a new sequence.
func (c *Counts) Begin() {
	c.history, c.depth = root, 0
	if c.order > 1 {
		c.history, c.depth = c.child(root, beginning), 1
	}
}

// Add adds the next symbol of the sequence.
func (c *Counts) Add(symbol uint32) {
	id := c.child(c.history, symbol)
	n := &c.nodes[id]
	n.count++
	if c.depth+1 == c.order {
		id = n.suffix
	} else {
		c.depth++
	}
	c.history = id
}

// Err returns an error if there were more distinct n-grams than Counts can hold.
func (c *Counts) Err() error {
	if c.full {
		return fmt.Errorf("more than %d distinct n-grams of order %d; lower the order or train on less text",
			len(c.nodes), c.order)
	}
	return nil
}

func hash(parent, symbol uint32) uint32 {
	const golden = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio: its multiples are far apart
	high, low := bits.Mul64((uint64(parent)<<32|uint64(symbol))+golden, golden)
	return uint32((high ^ low) >> 32)
}

// child returns the node that extends parent by symbol, and creates it if necessary.
func (c *Counts) child(parent, symbol uint32) uint32 {
	h, mask := hash(parent, symbol), len(c.table)-1
	for i := int(h >> c.shift); ; i = (i + 1) & mask {
		s := c.table[i]
		if s.id == 0 {
			return c.insert(parent, symbol, h)
		}
		if s.hash != h {
			continue
		}
		if n := &c.nodes[s.id]; n.symbol == symbol && n.parent == parent {
			return s.id
		}
	}
}

func (c *Counts) insert(parent, symbol, h uint32) uint32 {
	suffix := uint32(root)
	if parent != root {
		suffix = c.child(c.nodes[parent].suffix, symbol)
	}
	if uint64(len(c.nodes)) == maxNodes {
		c.full = true
		return root
	}
	if len(c.nodes) >= len(c.table)/4*3 {
		old := c.table
		c.table = make([]slot, 2*len(old))
		c.shift--
		for _, s := range old {
			if s.id != 0 {
				c.enter(s)
			}
		}
	}
	if len(c.nodes) == cap(c.nodes) {
		c.nodes = slices.Grow(c.nodes, len(c.nodes)) // append alone would copy large slices four times as often
	}
	id := uint32(len(c.nodes))
	c.nodes = append(c.nodes, countNode{parent: parent, symbol: symbol, suffix: suffix})
	c.enter(slot{hash: h, id: id})
	return id
}

func (c *Counts) enter(s slot) {
	mask := len(c.table) - 1
	i := int(s.hash >> c.shift)
	for c.table[i].id != 0 {
		i = (i + 1) & mask
	}
	c.table[i] = s
}

// Write writes the counts that the same sequences would have with each symbol s replaced by rename(s), which is in [0,
// vocabulary). The output depends only on those sequences.
//
// The format is a list of unsigned varints: the order, the number of n-grams of each length from 1 to the order, then
// the trie from the root. An n-gram shorter than the order is written as the number of its children and then each
// child, by symbol. A child is the gap to the symbol before it, the count if occurrences are counted there, and the
// child itself. The beginning of a sequence is written as the symbol vocabulary.
func (c *Counts) Write(w io.Writer, vocabulary uint32, rename func(symbol uint32) uint32) error {
	if c.full {
		return c.Err()
	}
	t := trieWriter{
		first:    make([]uint32, len(c.nodes)+1),
		children: make([]child, len(c.nodes)-1),
		sizes:    make([]uint64, c.order),
	}
	for _, n := range c.nodes[1:] {
		t.first[n.parent+1]++
	}
	for i := range c.nodes {
		t.first[i+1] += t.first[i]
	}
	free := slices.Clone(t.first[:len(c.nodes)])
	for id, n := range c.nodes {
		if id == root {
			continue
		}
		symbol := vocabulary
		if n.symbol != beginning {
			symbol = rename(n.symbol)
		}
		t.children[free[n.parent]] = child{symbol, uint32(id), n.count}
		free[n.parent]++
	}
	t.write([]child{{id: root}}, 0)

	head := binary.AppendUvarint(nil, uint64(c.order))
	for _, size := range t.sizes {
		head = binary.AppendUvarint(head, size)
	}
	for _, part := range [][]byte{head, t.trie} {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("write n-gram counts: %w", err)
		}
	}
	return nil
}

// trieWriter writes a trie depth first, the order in which n-grams that were counted one after the other are adjacent.
type trieWriter struct {
	// The children of node p are children[first[p]:first[p+1]].
	first    []uint32
	children []child
	// sizes counts the n-grams written, by length less one.
	sizes []uint64
	trie  []byte
}

type child struct {
	symbol, id uint32
	count      uint64
}

// write writes the children of an n-gram of some length, which consists of the nodes that renaming has merged.
func (t *trieWriter) write(nodes []child, length int) {
	family := t.children[t.first[nodes[0].id]:t.first[nodes[0].id+1]]
	if len(nodes) > 1 {
		family = nil
		for _, n := range nodes {
			family = append(family, t.children[t.first[n.id]:t.first[n.id+1]]...)
		}
	}
	slices.SortFunc(family, func(a, b child) int { return cmp.Compare(a.symbol, b.symbol) })
	different := uint64(0)
	for i := range family {
		if i == 0 || family[i].symbol != family[i-1].symbol {
			different++
		}
	}
	t.sizes[length] += different
	t.trie = binary.AppendUvarint(t.trie, different)
	next := uint32(0)
	for start, end := 0, 0; start < len(family); start = end {
		symbol, count := family[start].symbol, uint64(0)
		for ; end < len(family) && family[end].symbol == symbol; end++ {
			count += family[end].count
		}
		t.trie = binary.AppendUvarint(t.trie, uint64(symbol-next))
		next = symbol + 1
		if count > 0 {
			t.trie = binary.AppendUvarint(t.trie, count)
		}
		if length+1 < len(t.sizes) {
			t.write(family[start:end], length+1)
		}
	}
}
