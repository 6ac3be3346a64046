package tokenizer

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"unicode/utf8"
)

// index finds the tokens that a text can contain by their content. It finds the prefixes and suffixes of a token, of
// which there are millions, without reading each: the hash of a string is a polynomial of its bytes (Rabin and Karp),
// so that the hash of a suffix follows from those of the token and of the prefix before it.
type index struct {
	tokens []string
	types  []int32
	base   uint64
	// ids has the ids by hash. The base is such that no two tokens have the same hash.
	ids map[uint64]int32
}

// modulus is the prime 2^61 - 1.
const modulus = 1<<61 - 1

// multiply returns a*b modulo the modulus, for factors below it.
func multiply(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return sum(low&modulus, low>>61|high<<3)
}

// sum returns a+b modulo the modulus, for terms up to it.
func sum(a, b uint64) uint64 {
	if a += b; a >= modulus {
		a -= modulus
	}
	return a
}

// errCollision means that two tokens have the same hash.
var errCollision = errors.New("two tokens have the same hash")

func newIndex(tokens []string, types []int32) (*index, error) {
	for {
		x := &index{tokens: tokens, types: types, base: 1<<32 + rand.Uint64N(modulus-1<<32), ids: make(map[uint64]int32, len(tokens))}
		err := x.fill()
		if err == nil {
			return x, nil
		}
		if !errors.Is(err, errCollision) {
			return nil, err
		}
	}
}

// fill adds the tokens.
func (x *index) fill() error {
	for id, content := range x.tokens {
		if t := x.types[id]; t < ggufNormal || t > ggufByte {
			return fmt.Errorf("token %d, %q, is of type %d; supported are 1 to 6", id, content, t)
		}
		if x.types[id] == ggufUnused {
			continue
		}
		if !utf8.ValidString(content) {
			return fmt.Errorf("token %d, %q, is not valid UTF-8", id, content)
		}
		h := x.hash(content)
		if other, ok := x.ids[h]; ok {
			if x.tokens[other] != content {
				return errCollision
			}
			return fmt.Errorf("the tokens %d and %d are both %q", other, id, content)
		}
		x.ids[h] = int32(id)
	}
	return nil
}

// append returns the hash of a string with one more byte. No byte counts as 0, so that leading NULs matter.
func (x *index) append(hash uint64, b byte) uint64 { return sum(multiply(hash, x.base), uint64(b)+1) }

func (x *index) hash(content string) (hash uint64) {
	for i := range len(content) {
		hash = x.append(hash, content[i])
	}
	return hash
}

// find returns the token with this content.
func (x *index) find(content string) (id int32, ok bool) { return x.get(x.hash(content), content) }

func (x *index) get(hash uint64, content string) (id int32, ok bool) {
	id, ok = x.ids[hash]
	return id, ok && x.tokens[id] == content
}

// merges returns the merges of Gemma's vocabulary: each way to compose a token from two others. Tokens defined by users
// and others that are not normal come first, longest left side first, then shortest right side. The others follow by
// id, whatever their score, each with the longest left side first. Lengths are in characters.
func (x *index) merges() []pair {
	const step = 4096
	chunks := make([][]pair, (len(x.tokens)+step-1)/step)
	numbers := make(chan int, len(chunks))
	for i := range chunks {
		numbers <- i
	}
	close(numbers)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(chunks)) {
		workers.Go(func() {
			var prefixes []uint64
			for i := range numbers {
				for id := i * step; id < min((i+1)*step, len(x.tokens)); id++ {
					if x.types[id] == ggufNormal {
						chunks[i], prefixes = x.pairs(chunks[i], x.tokens[id], prefixes)
					}
				}
			}
		})
	}
	workers.Wait()
	return slices.Concat(append([][]pair{x.otherMerges()}, chunks...)...)
}

// otherMerges returns the merges of the tokens that are not normal.
func (x *index) otherMerges() []pair {
	var merges []pair
	var prefixes []uint64
	for id, t := range x.types {
		if t != ggufNormal && t != ggufUnused {
			merges, prefixes = x.pairs(merges, x.tokens[id], prefixes)
		}
	}
	length := func(id int32) int { return utf8.RuneCountInString(x.tokens[id]) }
	slices.SortStableFunc(merges, func(a, b pair) int {
		return cmp.Or(cmp.Compare(length(b.left), length(a.left)), cmp.Compare(length(a.right), length(b.right)))
	})
	return merges
}

// pairs appends the ways to compose a string from two tokens, longest left side first. It returns prefixes, its working
// memory, for the next call.
func (x *index) pairs(to []pair, content string, prefixes []uint64) (_ []pair, memory []uint64) {
	prefixes = append(prefixes[:0], 0)
	for i := range len(content) {
		prefixes = append(prefixes, x.append(prefixes[i], content[i]))
	}
	whole, power := prefixes[len(content)], uint64(1)
	for i := len(content) - 1; i > 0; i-- {
		power = multiply(power, x.base)
		if !utf8.RuneStart(content[i]) {
			continue
		}
		left, ok := x.get(prefixes[i], content[:i])
		if !ok {
			continue
		}
		if right, ok := x.get(sum(whole, modulus-multiply(prefixes[i], power)), content[i:]); ok {
			to = append(to, pair{left, right})
		}
	}
	return to, prefixes
}
