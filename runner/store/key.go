package store

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// keyDomain separates cache keys from all other uses of SHA-256, and from other layouts of the hashed data.
const keyDomain = "surprisal.dev/action/v2\n"

// KeyOf returns the cache key of an action, 64 hex digits: the SHA-256 of a domain tag and the action's descriptor,
// which is canonical JSON. For other bytes it returns a key under which nothing can be published.
func KeyOf(descriptor []byte) string {
	h := sha256.New()
	h.Write([]byte(keyDomain))
	h.Write(descriptor)
	return hex.EncodeToString(h.Sum(nil))
}

// MarshalCanonical returns the canonical JSON of a value that encoding/json can marshal. Unlike encoding/json, it
// rejects strings that are not valid UTF-8, because different values would have the same JSON.
func MarshalCanonical(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if s, bad := invalidString(reflect.ValueOf(v)); bad {
		return nil, fmt.Errorf("%q is not valid UTF-8", s)
	}
	return Canonical(text)
}

// invalidString finds a string within v that is not valid UTF-8. The value has been marshaled, so it has no cycle.
func invalidString(v reflect.Value) (string, bool) {
	if !v.IsValid() {
		return "", false
	}
	if v.CanInterface() {
		switch v.Interface().(type) {
		case json.Marshaler, encoding.TextMarshaler:
			return "", false
		}
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), !utf8.ValidString(v.String())
	case reflect.Pointer, reflect.Interface:
		return invalidString(v.Elem())
	case reflect.Struct:
		for field, value := range v.Fields() {
			if field.Tag.Get("json") == "-" || !field.IsExported() && !field.Anonymous {
				continue
			}
			if s, bad := invalidString(value); bad {
				return s, true
			}
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			if s, bad := invalidString(key); bad {
				return s, true
			}
			if s, bad := invalidString(value); bad {
				return s, true
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return "", false
		}
		for _, value := range v.Seq2() {
			if s, bad := invalidString(value); bad {
				return s, true
			}
		}
	}
	return "", false
}

// Canonical returns the canonical form of a JSON text, which is the same for equal values. Members are sorted by the
// bytes of their names, there is no insignificant space, and strings have the fewest escapes. Numbers are exact
// decimals in one form: 1.0 is 1 and 1e2 is 100, and integers of any size keep every digit. Canonical rejects duplicate
// names, text that is not valid UTF-8, escapes of lone surrogates, and anything that is not one JSON value.
func Canonical(data []byte) ([]byte, error) {
	c := canonicalizer{in: data, out: make([]byte, 0, len(data))}
	c.space()
	if err := c.value(0); err != nil {
		return nil, fmt.Errorf("JSON at byte %d: %w", c.pos, err)
	}
	c.space()
	if c.pos < len(data) {
		return nil, fmt.Errorf("JSON at byte %d: %s after the value", c.pos, c.found())
	}
	return c.out, nil
}

const maxDepth = 1000

type canonicalizer struct {
	in  []byte
	pos int
	out []byte
}

func (c *canonicalizer) space() {
	for c.pos < len(c.in) && (c.in[c.pos] == ' ' || c.in[c.pos] == '\n' || c.in[c.pos] == '\t' || c.in[c.pos] == '\r') {
		c.pos++
	}
}

// peek returns the next byte, 0 at the end. A zero byte is not valid JSON anywhere.
func (c *canonicalizer) peek() byte {
	if c.pos < len(c.in) {
		return c.in[c.pos]
	}
	return 0
}

func (c *canonicalizer) found() string {
	if c.pos >= len(c.in) {
		return "end of text"
	}
	r, _ := utf8.DecodeRune(c.in[c.pos:])
	return strconv.QuoteRune(r)
}

func (c *canonicalizer) expect(b byte) error {
	if c.peek() != b {
		return fmt.Errorf("expected %q, got %s", b, c.found())
	}
	c.pos++
	c.out = append(c.out, b)
	return nil
}

func (c *canonicalizer) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch b := c.peek(); {
	case b == '{':
		return c.object(depth)
	case b == '[':
		return c.array(depth)
	case b == '"':
		_, err := c.text()
		return err
	case b == '-' || '0' <= b && b <= '9':
		return c.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(c.in[c.pos:], []byte(word)) {
			c.pos += len(word)
			c.out = append(c.out, word...)
			return nil
		}
	}
	return fmt.Errorf("expected a value, got %s", c.found())
}

func (c *canonicalizer) array(depth int) error {
	c.pos++
	c.out = append(c.out, '[')
	c.space()
	for first := true; c.peek() != ']'; first = false {
		if !first {
			if err := c.expect(','); err != nil {
				return err
			}
			c.space()
		}
		if err := c.value(depth + 1); err != nil {
			return err
		}
		c.space()
	}
	return c.expect(']')
}

type member struct {
	name     []byte
	from, to int // of `"name":value` in out
}

func (c *canonicalizer) object(depth int) error {
	c.pos++
	c.out = append(c.out, '{')
	start := len(c.out)
	var members []member
	c.space()
	for c.peek() != '}' {
		if len(members) > 0 {
			if err := c.expect(','); err != nil {
				return err
			}
			c.space()
		}
		m := member{from: len(c.out)}
		var err error
		if c.peek() != '"' {
			return fmt.Errorf("expected the name of a member in quotes, got %s", c.found())
		}
		if m.name, err = c.text(); err != nil {
			return err
		}
		c.space()
		if err := c.expect(':'); err != nil {
			return err
		}
		c.space()
		if err := c.value(depth + 1); err != nil {
			return err
		}
		m.to = len(c.out)
		members = append(members, m)
		c.space()
	}
	byName := func(a, b member) int { return bytes.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(members, byName) {
		slices.SortStableFunc(members, byName)
		unsorted := slices.Clone(c.out[start:])
		c.out = c.out[:start]
		for i, m := range members {
			if i > 0 {
				c.out = append(c.out, ',')
			}
			c.out = append(c.out, unsorted[m.from-start:m.to-start]...)
		}
	}
	for i := 1; i < len(members); i++ {
		if bytes.Equal(members[i-1].name, members[i].name) {
			return fmt.Errorf("duplicate key %q", members[i].name)
		}
	}
	return c.expect('}')
}

// text reads a string, writes its canonical form and returns its content.
func (c *canonicalizer) text() ([]byte, error) {
	c.pos++
	start := c.pos
	for c.pos < len(c.in) && c.in[c.pos] >= ' ' && c.in[c.pos] < utf8.RuneSelf && c.in[c.pos] != '"' && c.in[c.pos] != '\\' {
		c.pos++
	}
	content := c.in[start:c.pos]
	if c.peek() != '"' {
		content = slices.Clone(content)
		for c.peek() != '"' {
			var err error
			if content, err = c.char(content); err != nil {
				return nil, err
			}
		}
	}
	c.pos++
	c.out = appendString(c.out, content)
	return content, nil
}

// char appends the character at pos, which may be an escape.
func (c *canonicalizer) char(content []byte) ([]byte, error) {
	b := c.peek()
	if c.pos >= len(c.in) || b < ' ' {
		return nil, fmt.Errorf("unexpected %s in a string", c.found())
	}
	if b != '\\' {
		r, size := utf8.DecodeRune(c.in[c.pos:])
		if r == utf8.RuneError && size == 1 {
			return nil, fmt.Errorf("byte 0x%02x is not valid UTF-8", b)
		}
		content = append(content, c.in[c.pos:c.pos+size]...)
		c.pos += size
		return content, nil
	}
	c.pos++
	b = c.peek()
	if i := bytes.IndexByte([]byte(`"\/bfnrt`), b); i >= 0 {
		c.pos++
		return append(content, "\"\\/\b\f\n\r\t"[i]), nil
	}
	if b != 'u' {
		return nil, fmt.Errorf("unexpected %s after a backslash", c.found())
	}
	r, ok := c.hex4()
	if !ok {
		return nil, fmt.Errorf("\\u must be followed by four hex digits")
	}
	if utf16.IsSurrogate(r) {
		low := rune(0)
		if c.peek() == '\\' {
			c.pos++
			low, _ = c.hex4()
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return nil, fmt.Errorf("escape of half a surrogate pair")
		}
	}
	return utf8.AppendRune(content, r), nil
}

// hex4 reads uXXXX.
func (c *canonicalizer) hex4() (rune, bool) {
	if c.peek() != 'u' || c.pos+5 > len(c.in) {
		return 0, false
	}
	var b [2]byte
	if _, err := hex.Decode(b[:], c.in[c.pos+1:c.pos+5]); err != nil {
		return 0, false
	}
	c.pos += 5
	return rune(b[0])<<8 | rune(b[1]), true
}

func appendString(out, s []byte) []byte {
	out = append(out, '"')
	for _, b := range s {
		switch {
		case b == '"' || b == '\\':
			out = append(out, '\\', b)
		case b >= ' ':
			out = append(out, b)
		default:
			if i := bytes.IndexByte([]byte("\b\f\n\r\t"), b); i >= 0 {
				out = append(out, '\\', "bfnrt"[i])
			} else {
				out = fmt.Appendf(out, `\u%04x`, b)
			}
		}
	}
	return append(out, '"')
}

func (c *canonicalizer) digits() []byte {
	start := c.pos
	for '0' <= c.peek() && c.peek() <= '9' {
		c.pos++
	}
	return c.in[start:c.pos]
}

// number writes 0.DIGITS * 10^point as a plain decimal if that is short, and otherwise with an exponent.
func (c *canonicalizer) number() error {
	start := c.pos
	negative := c.peek() == '-'
	if negative {
		c.pos++
	}
	whole := c.digits()
	if len(whole) == 0 {
		return fmt.Errorf("expected a digit, got %s", c.found())
	}
	if len(whole) > 1 && whole[0] == '0' {
		return fmt.Errorf("number %s starts with 0", c.in[start:c.pos])
	}
	var fraction []byte
	var exponent int64
	if c.peek() == '.' {
		c.pos++
		if fraction = c.digits(); len(fraction) == 0 {
			return fmt.Errorf("expected a digit, got %s", c.found())
		}
	}
	if b := c.peek(); b == 'e' || b == 'E' {
		c.pos++
		from := c.pos
		if b := c.peek(); b == '+' || b == '-' {
			c.pos++
		}
		if len(c.digits()) == 0 {
			return fmt.Errorf("expected a digit, got %s", c.found())
		}
		var err error
		if exponent, err = strconv.ParseInt(string(c.in[from:c.pos]), 10, 32); err != nil {
			return fmt.Errorf("exponent of %s is out of range", c.in[start:c.pos])
		}
	}
	digits := slices.Concat(whole, fraction)
	leading := len(digits) - len(bytes.TrimLeft(digits, "0"))
	point := int64(len(whole)-leading) + exponent
	digits = bytes.TrimRight(digits[leading:], "0")
	if len(digits) == 0 {
		c.out = append(c.out, '0')
		return nil
	}
	if point-1 > math.MaxInt32 || point-1 < math.MinInt32 {
		return fmt.Errorf("exponent of %s is out of range", c.in[start:c.pos])
	}
	if negative {
		c.out = append(c.out, '-')
	}
	c.decimal(digits, point)
	return nil
}

// decimal writes a number in the shortest form of ECMAScript. point is the position of the decimal point relative to
// the digits, whose first and last are not 0.
func (c *canonicalizer) decimal(digits []byte, point int64) {
	n := int64(len(digits))
	switch {
	case n <= point && point <= 21:
		c.out = append(c.out, digits...)
		c.out = append(c.out, "000000000000000000000"[:point-n]...)
	case 0 < point && point <= 21:
		c.out = append(c.out, digits[:point]...)
		c.out = append(c.out, '.')
		c.out = append(c.out, digits[point:]...)
	case -6 < point && point <= 0:
		c.out = append(c.out, "0.00000"[:2-point]...)
		c.out = append(c.out, digits...)
	default:
		c.out = append(c.out, digits[0])
		if n > 1 {
			c.out = append(c.out, '.')
			c.out = append(c.out, digits[1:]...)
		}
		c.out = strconv.AppendInt(append(c.out, 'e'), point-1, 10)
	}
}
