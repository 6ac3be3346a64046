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
		{"\t\r\n [\r\n1\t,\r2 ]\n\t\r ", `[1,2]`}, {`[{ },[ [] ],""]`, `[{},[[]],""]`}, {"{\r\"a\"\t:\n1\r}", `{"a":1}`},
		{`"\b\f\n\r\t"`, `"\b\f\n\r\t"`}, {`"\u0008\u000c\u000a\u000D\u0009\u001F\u0000"`, `"\b\f\n\r\t\u001f\u0000"`},
		{`"\u00E9\uD83D\uDE00\u0020"`, `"é😀 "`}, {"\"a\x7f\u2028\"", "\"a\x7f\u2028\""},
		{`123456789012345678901.5`, `123456789012345678901.5`}, {`1234567890123456789012.5`, `1.2345678901234567890125e21`},
		{`123456789012345678901`, `123456789012345678901`}, {`120`, `120`}, {`0.00120`, `0.0012`}, {`10.05`, `10.05`}, {`-1e30`, `-1e30`},
		{`-0.000001`, `-0.000001`}, {`-12e-8`, `-1.2e-7`}, {`1E-2`, `0.01`}, {`9e+0`, `9`}, {`0e2147483647`, `0`},
		{`1e2147483647`, `1e2147483647`}, {`1e-2147483648`, `1e-2147483648`}, {`0.1e2147483647`, `1e2147483646`},
		{strings.Repeat("[", 1001) + strings.Repeat("]", 1001), strings.Repeat("[", 1001) + strings.Repeat("]", 1001)},
	} {
		got, err := store.Canonical([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("Canonical(%s) = %s, %v; want %s", c.in, got, err, c.want)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{``, "byte 0: expected a value, got end of text"},
		{`{"a":1,"a":2}`, `duplicate key "a"`},
		{`{"a":1,"\u0061":2}`, `duplicate key "a"`},
		{"\"\xff\"", "byte 1: byte 0xff is not valid UTF-8"},
		{`"\ud800"`, "half a surrogate pair"}, {`"\udc00\ud800"`, "half a surrogate pair"}, {`"\ud800\u0041"`, "half a surrogate pair"},
		{`NaN`, `expected a value, got 'N'`}, {`-Infinity`, "expected a digit"}, {`01`, "number 01 starts with 0"},
		{`1.`, "expected a digit"}, {`.5`, "expected a value"}, {`+1`, "expected a value"}, {`1e`, "expected a digit"},
		{`1e99999999999`, "exponent of 1e99999999999 is out of range"}, {`0.1e-2147483648`, "out of range"},
		{`[1,]`, "expected a value"}, {`[1 2]`, "expected ',', got '2'"}, {`[`, "expected a value"}, {`{"a"}`, "expected ':'"}, {`{"a":1,}`, "expected the name of a member"},
		{`{a:1}`, "expected the name of a member in quotes"}, {`1 2`, "'2' after the value"}, {"\"\n\"", "in a string"}, {`"\x"`, "after a backslash"},
		{`"\u00"`, "four hex digits"}, {`"abc`, "unexpected end of text in a string"},
		{strings.Repeat("[", 1002), "nested deeper than 1000"}, {strings.Repeat(`{"a":`, 1002), "nested deeper than 1000"},
		{`10e2147483647`, "exponent of 10e2147483647 is out of range"}, {`0e99999999999`, "out of range"}, {`-`, "expected a digit, got end of text"},
		{`-01`, "number -01 starts with 0"}, {`00`, "starts with 0"}, {`1e+`, "expected a digit"}, {`1e-x`, "expected a digit, got 'x'"}, {`1.e5`, "expected a digit, got 'e'"},
		{`"\u0041`, "unexpected end of text in a string"}, {`"\u004`, "four hex digits"}, {`"\u00g0"`, "four hex digits"}, {`"\`, "unexpected end of text after a backslash"},
		{`"\ud800x"`, "half a surrogate pair"}, {`"\ud800\n"`, "half a surrogate pair"}, {`"\udc00"`, "half a surrogate pair"},
		{"\"a\x00b\"", `byte 2: unexpected '\x00' in a string`}, {"\x00", `byte 0: expected a value, got '\x00'`}, {"1\x00", `byte 1: '\x00' after the value`},
		{"\"a\x1f\"", "in a string"}, {`nul`, "expected a value, got 'n'"}, {`truefalse`, "byte 4: 'f' after the value"},
		{`[1}`, "expected ',', got '}'"}, {`{"a":1]`, "expected ',', got ']'"}, {`{"a":}`, "expected a value, got '}'"}, {`[1 2]`, "byte 3: "}, {`{"a":1 "b":2}`, "byte 7: "},
		{`{"b":1,"a":2,"b":3}`, `duplicate key "b"`}, {`{"x":{"a":1,"a":2}}`, `duplicate key "a"`},
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
	// The key of this layout. Changing it invalidates all results of every store.
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

// embedded has a field that encoding/json promotes to the enclosing struct.
type embedded struct{ Inner string }

// text and document have their own encoding.
type (
	text     struct{ S string }
	document struct{ S string }
)

func (text) MarshalText() ([]byte, error)     { return []byte("text"), nil }
func (document) MarshalJSON() ([]byte, error) { return []byte(`"document"`), nil }

// A string that is not UTF-8 is found exactly where encoding/json would encode it.
func TestMarshalCanonicalFindsInvalidText(t *testing.T) {
	const bad = "a\xff"
	name := bad
	for _, v := range []any{
		map[string]string{"a": bad}, [1]string{bad}, []any{1, &name}, struct{ embedded }{embedded{bad}}, struct{ V any }{parts2{bad}},
		struct{ M map[string][]string }{map[string][]string{"a": {"", bad}}}, []*parts2{nil, {bad}},
		struct {
			First int `json:"-"`
			Last  string
		}{0, bad},
	} {
		if got, err := store.MarshalCanonical(v); err == nil || !strings.Contains(err.Error(), `"a\xff" is not valid UTF-8`) {
			t.Errorf("MarshalCanonical(%+v) = %s, %v", v, got, err)
		}
	}
	for _, c := range []struct {
		v    any
		want string
	}{
		{struct {
			A string `json:"-"`
			B string
		}{bad, "b"}, `{"B":"b"}`},
		{struct {
			a string
			B string
		}{bad, "b"}, `{"B":"b"}`},
		{[]byte(bad), `"Yf8="`}, {text{bad}, `"text"`}, {&document{bad}, `"document"`}, {(*parts2)(nil), "null"}, {nil, "null"},
		{map[string]any{"b": nil, "a": []string{}}, `{"a":[],"b":null}`},
	} {
		if got, err := store.MarshalCanonical(c.v); err != nil || string(got) != c.want {
			t.Errorf("MarshalCanonical(%+v) = %s, %v; want %s", c.v, got, err, c.want)
		}
	}
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
