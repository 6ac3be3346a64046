package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/big"
	"strconv"

	"cuelang.org/go/cue"
)

// node is a value of a spec with its path.
type node struct {
	v    cue.Value
	path []cue.Selector
	// known, if not nil, caches the regular fields, because a failed lookup in CUE is slow.
	known map[string]cue.Value
}

func (n node) child(s cue.Selector) node {
	return node{v: n.v.LookupPath(cue.MakePath(s)), path: append(n.path[:len(n.path):len(n.path)], s)}
}

func (n node) field(name string) node {
	if n.known == nil {
		return n.child(cue.Str(name))
	}
	return node{v: n.known[name], path: append(n.path[:len(n.path):len(n.path)], cue.Str(name))}
}

// opened returns n with its fields cached.
func (n node) opened() node {
	n.known = map[string]cue.Value{}
	for name, f := range n.fields() {
		n.known[name] = f.v
	}
	return n
}

// set reports whether the field exists.
func (n node) set() bool { return n.v.Exists() }

// fields yields the fields that are set. A value that is not a struct has none.
func (n node) fields() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		if !n.set() {
			return
		}
		it, err := n.v.Fields()
		if err != nil {
			return
		}
		for it.Next() {
			s := it.Selector()
			// CUE yields a required field that is not set as an error.
			if it.Value().IncompleteKind() == cue.BottomKind && !n.v.LookupPath(cue.MakePath(s)).Exists() {
				continue
			}
			if !yield(s.Unquoted(), node{v: it.Value(), path: append(n.path[:len(n.path):len(n.path)], s)}) {
				return
			}
		}
	}
}

// elements yields the elements of a list. A value that is not a list has none.
func (n node) elements() iter.Seq2[int, node] {
	return func(yield func(int, node) bool) {
		if !n.set() {
			return
		}
		it, err := n.v.List()
		if err != nil {
			return
		}
		for i := 0; it.Next(); i++ {
			if !yield(i, node{v: it.Value(), path: append(n.path[:len(n.path):len(n.path)], cue.Index(i))}) {
				return
			}
		}
	}
}

// numbers yields the numbers at and below n.
func (n node) numbers() iter.Seq[node] { return func(yield func(node) bool) { n.eachNumber(yield) } }

func (n node) eachNumber(yield func(node) bool) bool {
	if v, _ := n.v.Default(); v.IsConcrete() && v.IncompleteKind()&cue.NumberKind != 0 {
		return yield(n)
	}
	for _, x := range n.elements() {
		if !x.eachNumber(yield) {
			return false
		}
	}
	if n.v.IncompleteKind() == cue.StructKind {
		for _, x := range n.fields() {
			if !x.eachNumber(yield) {
				return false
			}
		}
	}
	return true
}

// text, number and truth return a scalar, or the zero value if it does not exist or violates the schema.
func (n node) text() string {
	if !n.set() {
		return ""
	}
	s, err := n.v.String()
	if err != nil {
		return ""
	}
	return s
}

func (n node) number() int64 {
	if !n.set() {
		return 0
	}
	i, err := n.v.Int64()
	if err != nil {
		return 0
	}
	return i
}

func (n node) decimal() float64 {
	if !n.set() {
		return 0
	}
	f, err := n.v.Float64()
	if err != nil {
		return 0
	}
	return f
}

// outOfRange says why a float64 cannot hold a number. It returns "" for a number that it can hold.
func outOfRange(v cue.Value) string {
	x, err := v.Float64()
	switch {
	case err == nil:
		return ""
	case math.IsInf(x, 0):
		return fmt.Sprintf("is too large; the largest number is %.1e", math.MaxFloat64)
	case x == 0 && (errors.Is(err, cue.ErrBelow) || errors.Is(err, cue.ErrAbove)):
		return fmt.Sprintf("is too small to be told from 0; set 0, or a number of at least %.1e in size", math.SmallestNonzeroFloat64)
	}
	return err.Error()
}

func (n node) truth() bool {
	if !n.set() {
		return false
	}
	b, err := n.v.Bool()
	return err == nil && b
}

func (n node) texts() []string {
	var all []string
	for _, x := range n.elements() {
		all = append(all, x.text())
	}
	return all
}

func pathString(path []cue.Selector) string { return cue.MakePath(path...).String() }

// plain returns a concrete value as map[string]any, []any, string, json.Number, bool or nil. Equal numbers give equal
// json.Numbers, regardless of their notation.
func plain(v cue.Value) (any, error) {
	v, _ = v.Default()
	switch v.Kind() {
	case cue.NullKind:
		return nil, nil
	case cue.BoolKind:
		return v.Bool()
	case cue.StringKind:
		return v.String()
	case cue.IntKind, cue.FloatKind:
		return plainNumber(v)
	case cue.StructKind:
		it, err := v.Fields()
		if err != nil {
			return nil, err
		}
		m := map[string]any{}
		for it.Next() {
			if m[it.Selector().Unquoted()], err = plain(it.Value()); err != nil {
				return nil, err
			}
		}
		return m, nil
	case cue.ListKind:
		it, err := v.List()
		if err != nil {
			return nil, err
		}
		l := []any{}
		for it.Next() {
			x, err := plain(it.Value())
			if err != nil {
				return nil, err
			}
			l = append(l, x)
		}
		return l, nil
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%v cannot be represented in JSON", v)
}

// plainNumber formats a whole number of at most 21 digits exactly and without an exponent, and any other number as the
// shortest decimal of the nearest float64.
func plainNumber(v cue.Value) (json.Number, error) {
	var mantissa big.Int
	exponent, err := v.MantExp(&mantissa)
	if err != nil {
		return "", err
	}
	ten, rest := big.NewInt(10), new(big.Int)
	for mantissa.Sign() != 0 && exponent < 0 {
		quotient, remainder := new(big.Int).QuoRem(&mantissa, ten, rest)
		if remainder.Sign() != 0 {
			break
		}
		mantissa.Set(quotient)
		exponent++
	}
	if mantissa.Sign() == 0 {
		return "0", nil
	}
	if exponent >= 0 && exponent <= 21 {
		mantissa.Mul(&mantissa, new(big.Int).Exp(ten, big.NewInt(int64(exponent)), nil))
		if s := mantissa.String(); v.Kind() == cue.IntKind || len(s) <= 21 {
			return json.Number(s), nil
		}
	}
	f, err := v.Float64()
	if err != nil {
		return "", fmt.Errorf("the number %v does not fit a float64", v)
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
}

// values returns a concrete value as JSON.
func values(v cue.Value) (json.RawMessage, error) {
	x, err := plain(v)
	if err != nil {
		return nil, err
	}
	return canonical(x)
}

// canonical encodes a plain value as JSON with sorted keys and without white space.
func canonical(x any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(x); err != nil {
		return nil, errors.Join(fmt.Errorf("encoding %v", x), err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
