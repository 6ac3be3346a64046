package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"surprisal.dev/runner/store"
)

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{` { "b" : 1 , "a" : [ ] } `, `{"a":[],"b":1}`},
		{`{"a":{"z":0,"y":[1,{"q":2,"p":3}]}}`, `{"a":{"y":[1,{"p":3,"q":2}],"z":0}}`},
		{`{"ab":1,"a":2,"a!":3,"":4}`, `{"":4,"a":2,"a!":3,"ab":1}`},
		{`{"b\u0061":1,"b":2}`, `{"b":2,"ba":1}`},
		{`[true,false,null]`, `[true,false,null]`},
		{`1.0`, `1`}, {`1e2`, `100`}, {`100`, `100`}, {`1E+2`, `100`}, {`10.00e1`, `100`}, {`0.001e5`, `100`},
		{`0`, `0`}, {`-0`, `0`}, {`0.000`, `0`}, {`-0.0e7`, `0`},
		{`0.1`, `0.1`}, {`0.10`, `0.1`}, {`1e-1`, `0.1`}, {`-1.50`, `-1.5`},
		{`0.000001`, `0.000001`}, {`0.0000001`, `1e-7`}, {`1.25e-7`, `1.25e-7`},
		{`9007199254740993`, `9007199254740993`}, {`9007199254740993.0`, `9007199254740993`},
		{`123456789012345678901234567890`, `1.2345678901234567890123456789e29`},
		{`100000000000000000000`, `100000000000000000000`}, {`1e21`, `1e21`}, {`1000000000000000000000`, `1e21`},
		{`"a\/b\u002f\t\u0001\u007f\"\\"`, `"a/b/\t\u0001` + "\x7f" + `\"\\"`},
		{`"\u003cé\u00e9\ud83d\ude00\ufffd"`, `"<éé😀` + "\ufffd" + `"`},
	} {
		got, err := store.Canonical([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("Canonical(%s) = %s, %v; want %s", c.in, got, err, c.want)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{``, "byte 0: found the end of the text, want a value"},
		{`{"a":1,"a":2}`, `two members are named "a"`},
		{`{"a":1,"\u0061":2}`, `two members are named "a"`},
		{"\"\xff\"", "byte 1: byte 0xff is not valid UTF-8"},
		{`"\ud800"`, "half a surrogate pair"}, {`"\udc00\ud800"`, "half a surrogate pair"}, {`"\ud800\u0041"`, "half a surrogate pair"},
		{`NaN`, `found 'N', want a value`}, {`-Infinity`, "want a digit"}, {`01`, "number 01 starts with 0"},
		{`1.`, "want a digit"}, {`.5`, "want a value"}, {`+1`, "want a value"}, {`1e`, "want a digit"},
		{`1e99999999999`, "exponent of 1e99999999999 is out of range"}, {`0.1e-2147483648`, "out of range"},
		{`[1,]`, "want a value"}, {`[1 2]`, "found '2', want ','"}, {`[`, "want a value"}, {`{"a"}`, "want ':'"}, {`{"a":1,}`, "want a member's name"},
		{`{a:1}`, "want a member's name in quotes"}, {`1 2`, "'2' after the value"}, {"\"\n\"", "within a string"}, {`"\x"`, "after a backslash"},
		{`"\u00"`, "four hex digits"}, {`"abc`, "the end of the text within a string"},
		{strings.Repeat("[", 1002), "nested deeper than 1000"},
	} {
		got, err := store.Canonical([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Canonical(%.40s) = %s, %v; want an error with %q", c.in, got, err, c.want)
		}
	}
}

func TestKey(t *testing.T) {
	descriptor := func(kind string, schema int, parameters any) []byte {
		t.Helper()
		d, err := store.MarshalCanonical(map[string]any{"kind": kind, "schema": schema, "parameters": parameters})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	base := store.KeyOf(descriptor("score", 1, map[string]any{"context": 1024, "stride": 512.0}))
	// The key of this layout; a change of it makes every store recompute everything.
	if want := "8ec2910d5d15efaaf72044453cf16190c503048d0d1373206c3db26619807caf"; base != want {
		t.Errorf("key is %s, want %s", base, want)
	}
	type parts struct {
		Stride  float64 `json:"stride"`
		Context uint64  `json:"context"`
	}
	for name, same := range map[string][]byte{
		"struct": descriptor("score", 1, parts{512, 1024}),
		"text":   descriptor("score", 1, json.RawMessage(`{ "stride": 5.12e2, "context": 1024.0 }`)),
	} {
		if store.KeyOf(same) != base {
			t.Errorf("%s: equal parameters give another key", name)
		}
	}
	for name, other := range map[string][]byte{
		"kind":       descriptor("gap", 1, parts{512, 1024}),
		"schema":     descriptor("score", 2, parts{512, 1024}),
		"parameters": descriptor("score", 1, parts{511, 1024}),
	} {
		if store.KeyOf(other) == base {
			t.Errorf("another %s gives the same key", name)
		}
	}
	for _, bad := range []any{
		math.NaN(), math.Inf(1), "\xff", []string{"a", "\xff"}, map[string]int{"\xff": 1}, &parts2{Name: "\xff"}, json.RawMessage(`{"a":1,"a":1}`),
		struct{ Raw json.RawMessage }{json.RawMessage("\"\xff\"")}, make(chan int),
	} {
		if d, err := store.MarshalCanonical(bad); err == nil {
			t.Errorf("MarshalCanonical(%v) = %s, want an error", bad, d)
		}
	}
}

type parts2 struct {
	Name string
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		`{"b":[1,2.50,-0,1e400],"a":{"x":"\ud83d\ude00\n","w":null}}`, `[]`, `"\ufffd"`, `-12345678901234567890.5e-30`, `{"a":1,"a":1}`,
		"\"\xff\"", `"\ud800"`, `1e-2147483648`, ` [ true , false ] `, `00`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := store.Canonical(in)
		if err != nil {
			return
		}
		if !json.Valid(in) || !json.Valid(out) {
			t.Fatalf("not JSON: %q -> %q", in, out)
		}
		again, err := store.Canonical(out)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("not idempotent: %q -> %q -> %q, %v", in, out, again, err)
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, in, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		if same, err := store.Canonical(spaced.Bytes()); err != nil || !bytes.Equal(same, out) {
			t.Fatalf("space matters: %q -> %q, %q -> %q, %v", in, out, spaced.Bytes(), same, err)
		}
		if err := equal(decode(t, in), decode(t, out)); err != nil {
			t.Fatalf("%q -> %q: %v", in, out, err)
		}
	})
}

func decode(t *testing.T, data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// equal compares decoded JSON, numbers as exact rationals.
func equal(a, b any) error {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return fmt.Errorf("%v is not %v", a, b)
		}
		for k := range maps.Keys(a) {
			if err := equal(a[k], b[k]); err != nil {
				return err
			}
		}
		return nil
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return fmt.Errorf("%v is not %v", a, b)
		}
		for i := range a {
			if err := equal(a[i], b[i]); err != nil {
				return err
			}
		}
		return nil
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return fmt.Errorf("%v is not a number", b)
		}
		x, okX := rational(string(a))
		y, okY := rational(string(b))
		if okX && okY && x.Cmp(y) != 0 {
			return fmt.Errorf("%s is not %s", a, b)
		}
		return nil
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Errorf("%v is not %v", a, b)
	}
	return nil
}

// rational returns a number's value; false if it would need too many digits to compare.
func rational(s string) (*big.Rat, bool) {
	if _, exponent, ok := strings.Cut(strings.ToLower(s), "e"); ok && len(strings.TrimLeft(exponent, "+-0")) > 3 {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}
