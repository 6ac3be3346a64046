package family

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
)

// fields reads a configuration and records what was read, so that a field that was not read is an error. It keeps the
// first error; values after it are meaningless.
type fields struct {
	// where names the file, and the object in it, in messages.
	where  string
	prefix string
	values map[string]any
	known  map[string]bool
	err    error
}

func newFields(where string, values map[string]any) *fields {
	return &fields{where: where, values: values, known: map[string]bool{}}
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = protocol.Invalid(f.where+": "+format, args...)
	}
}

// get returns a field; ok is false if it is missing or null.
func (f *fields) get(name string) (value any, ok bool) {
	name = f.prefix + name
	f.known[name] = true
	value = f.values[name]
	return value, value != nil
}

// maximumSize bounds sizes of a model, so that their products fit into 64 bits; maximumCount bounds counts for which
// memory is allocated.
const (
	maximumSize  = 1 << 30
	maximumCount = 1 << 16
)

// size reads a whole number from 1 to maximumSize; it is required if the fallback is 0.
func (f *fields) size(name string, fallback int) int { return f.bounded(name, fallback, maximumSize) }

// count reads a whole number from 1 to maximumCount; it is required if the fallback is 0.
func (f *fields) count(name string, fallback int) int { return f.bounded(name, fallback, maximumCount) }

func (f *fields) bounded(name string, fallback, maximum int) int {
	value, ok := f.get(name)
	if !ok {
		if fallback == 0 {
			f.fail("no field %s%s", f.prefix, name)
		}
		return max(fallback, 1)
	}
	n, ok := Integer(value)
	if !ok || n < 1 || n > int64(maximum) {
		f.fail("%s%s is %v, not a whole number from 1 to %d", f.prefix, name, value, maximum)
		return 1
	}
	return int(n)
}

// whole reads a whole number from 0 to maximumCount.
func (f *fields) whole(name string, fallback int) int {
	value, ok := f.get(name)
	if !ok {
		return fallback
	}
	n, ok := Integer(value)
	if !ok || n < 0 || n > maximumCount {
		f.fail("%s%s is %v, not a whole number from 0 to %d", f.prefix, name, value, maximumCount)
		return 0
	}
	return int(n)
}

// number reads a finite number.
func (f *fields) number(name string, fallback float64) float64 {
	value, ok := f.get(name)
	if !ok {
		return fallback
	}
	x, ok := float(value)
	if !ok || math.IsNaN(x) || math.IsInf(x, 0) {
		f.fail("%s%s is %v, not a finite number", f.prefix, name, value)
	}
	return x
}

// positive reads a finite number above 0; it is required if the fallback is 0.
func (f *fields) positive(name string, fallback float64) float64 {
	if _, ok := f.get(name); !ok && fallback == 0 {
		f.fail("no field %s%s", f.prefix, name)
		return 1
	}
	x := f.number(name, fallback)
	if !(x > 0) {
		f.fail("%s%s is %v, not above 0", f.prefix, name, x)
		return 1
	}
	return x
}

func (f *fields) boolean(name string, fallback bool) bool {
	return field(f, name, fallback, "true or false")
}

func (f *fields) text(name, fallback string) string { return field(f, name, fallback, "a string") }

func field[T any](f *fields, name string, fallback T, what string) T {
	value, ok := f.get(name)
	if !ok {
		return fallback
	}
	x, ok := value.(T)
	if !ok {
		f.fail("%s%s is %v, not %s", f.prefix, name, value, what)
	}
	return x
}

// strings reads a list of strings.
func (f *fields) strings(name string) []string {
	list := field(f, name, []any(nil), "a list")
	texts := make([]string, len(list))
	for i, x := range list {
		text, ok := x.(string)
		if !ok {
			f.fail("%s%s[%d] is %v, not a string", f.prefix, name, i, x)
		}
		texts[i] = text
	}
	return texts
}

// integers reads a list of whole numbers.
func (f *fields) integers(name string) []int64 {
	list := field(f, name, []any(nil), "a list")
	numbers := make([]int64, len(list))
	for i, x := range list {
		n, ok := Integer(x)
		if !ok {
			f.fail("%s%s[%d] is %v, not a whole number", f.prefix, name, i, x)
		}
		numbers[i] = n
	}
	return numbers
}

// object reads an object; nil if it is missing or null.
func (f *fields) object(name string) *fields {
	values := field(f, name, map[string]any(nil), "an object")
	if values == nil {
		return nil
	}
	return newFields(f.where+": "+name, values)
}

// only reads an optional field that must have one of the values.
func (f *fields) only(name string, allowed ...any) {
	value, ok := f.get(name)
	if !ok {
		return
	}
	for _, a := range allowed {
		if x, isNumber := float(value); isNumber {
			if y, ok := float(a); ok && x == y {
				return
			}
		} else if reflect.DeepEqual(value, a) {
			return
		}
	}
	f.fail("%s%s is %v, which is not supported (supported: %v)", f.prefix, name, value, allowed)
}

// ignore marks fields that do not change the graph's computation.
func (f *fields) ignore(names ...string) {
	for _, name := range names {
		f.known[f.prefix+name] = true
	}
}

// finish returns the first error. A field that was not read is an error, unless it is null or does not begin with the
// prefix.
func (f *fields) finish() error {
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		if !f.known[name] && f.values[name] != nil && strings.HasPrefix(name, f.prefix) {
			f.fail("unknown field %s (%v), which may change the graph; supported checkpoints do not have it", name, f.values[name])
		}
	}
	return f.err
}

// Integer converts a whole number from JSON or GGUF.
func Integer(value any) (int64, bool) {
	if n, ok := value.(json.Number); ok {
		i, err := n.Int64()
		return i, err == nil
	}
	switch v := reflect.ValueOf(value); {
	case v.CanInt():
		return v.Int(), true
	case v.CanUint() && v.Uint() <= math.MaxInt64:
		return int64(v.Uint()), true
	}
	return 0, false
}

// float converts a number from JSON or GGUF.
func float(value any) (float64, bool) {
	if n, ok := value.(json.Number); ok {
		x, err := n.Float64()
		return x, err == nil
	}
	if v := reflect.ValueOf(value); v.CanFloat() {
		return v.Float(), true
	}
	i, ok := Integer(value)
	return float64(i), ok
}
