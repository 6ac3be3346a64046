package jsonl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"surprisal.dev/providers/source"
)

// maxDepth is the deepest nesting that encoding/json accepts.
const maxDepth = 10000

// scanner checks that a text is one JSON object and finds the requested fields in it, in one pass and without
// allocation. Package encoding/json would decode every other field too, silently replace invalid UTF-8 and half
// surrogate pairs, and use the last of several equal names.
type scanner struct {
	// most is the maximum size of a line in bytes.
	most   int
	fields []source.Field
	paths  [][]string
	root   node

	data  []byte
	at    int
	depth int
	twice string // a requested name that is a duplicate in its object
	// found holds the value at each field's path, followed by the value under each field as one name.
	found [][]byte
	// values holds the decoded fields, and buffers the bytes of those that had escapes.
	values, buffers [][]byte
	key             []byte
}

// node is a name on the path to a requested field.
type node struct {
	name string
	// index is the array element that the name denotes, or -1.
	index    int
	children []node
	// fields lists the fields whose value is at this node.
	fields []int
}

func newScanner(fields []source.Field) (*scanner, error) {
	s := &scanner{
		fields: fields,
		found:  make([][]byte, 2*len(fields)), values: make([][]byte, len(fields)), buffers: make([][]byte, len(fields)),
	}
	for i, field := range fields {
		path, err := source.SplitField(field.Name)
		if err != nil {
			return nil, err
		}
		s.paths = append(s.paths, path)
		s.root.add(path, i)
		if len(path) > 1 && !strings.Contains(field.Name, `\`) {
			s.root.add([]string{field.Name}, len(fields)+i)
		}
	}
	return s, nil
}

func (n *node) add(path []string, field int) {
	if len(path) == 0 {
		n.fields = append(n.fields, field)
		return
	}
	i := slices.IndexFunc(n.children, func(c node) bool { return c.name == path[0] })
	if i < 0 {
		i = len(n.children)
		index, err := strconv.Atoi(path[0])
		if err != nil || strconv.Itoa(index) != path[0] {
			index = -1
		}
		n.children = append(n.children, node{name: path[0], index: index})
	}
	n.children[i].add(path[1:], field)
}

// problem describes the error in a line; it continues a text such as "line 7".
type problem string

func (p problem) Error() string { return string(p) }

func problemf(format string, args ...any) error { return problem(fmt.Sprintf(format, args...)) }

// scan returns the requested fields of the object in data, valid until the next call or until data changes.
func (s *scanner) scan(data []byte) ([][]byte, error) {
	s.data, s.at, s.depth, s.twice = data, 0, 0, ""
	clear(s.found)
	s.space()
	start := s.at
	if err := s.value(&s.root); err != nil {
		return nil, err
	}
	s.space()
	if s.at < len(data) {
		return nil, s.unexpected("the end of the line")
	}
	if data[start] != '{' {
		return nil, problemf(": %s, not an object", kind(data[start]))
	}
	if s.twice != "" {
		return nil, problemf(": duplicate name %q in an object", s.twice)
	}
	for i, raw := range s.found[:len(s.fields)] {
		name := s.fields[i].Name
		if whole := s.found[len(s.fields)+i]; whole != nil && raw != nil {
			return nil, problemf(": field %q is both a name and a path; write %q for the name, or %q for the path", name,
				strings.ReplaceAll(name, ".", `\.`), `\`+name)
		} else if whole != nil {
			raw = whole
		}
		if raw == nil {
			return nil, explainMissing(data, name, s.paths[i])
		}
		if raw[0] != '"' {
			if !s.fields[i].Cluster {
				return nil, problemf(": field %q is %s, not a string", name, kind(raw[0]))
			}
			if kind(raw[0]) != "a number" || bytes.ContainsAny(raw, ".eE") {
				return nil, problemf(": field %q is %.20s; a cluster has a string or an integer", name, raw)
			}
			s.values[i] = decimal(raw)
			continue
		}
		raw = raw[1 : len(raw)-1]
		if bytes.IndexByte(raw, '\\') >= 0 {
			var bad string
			s.buffers[i], bad = unescape(s.buffers[i][:0], raw)
			if bad != "" {
				return nil, problemf(": field %q has the escape %s, half of a surrogate pair, which is not a character", name, bad)
			}
			raw = s.buffers[i]
		}
		s.values[i] = raw
	}
	return s.values, nil
}

// decimal returns the digits of an integer in JSON. Only 0 has two spellings.
func decimal(raw []byte) []byte {
	if string(raw) == "-0" {
		return raw[1:]
	}
	return raw
}

func kind(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

// explainMissing reports where the path of a field leaves data, which is valid JSON.
func explainMissing(data json.RawMessage, field string, path []string) error {
	for i, name := range path {
		in := ""
		if i > 0 {
			in = fmt.Sprintf(" in %q", source.JoinField(path[:i]))
		}
		data = bytes.TrimLeft(data, blank)
		switch data[0] {
		case '{':
			var object map[string]json.RawMessage
			if err := json.Unmarshal(data, &object); err != nil {
				return problemf(": field %q: %v", field, err)
			}
			next, ok := object[name]
			if !ok {
				names := slices.Collect(maps.Keys(object))
				if i > 0 { // at the top, a name with dots is found without escapes
					name = source.JoinField([]string{name})
					for j := range names {
						names[j] = source.JoinField(names[j : j+1])
					}
				}
				return problemf(": no field %q%s; fields are %s", name, in, source.Candidates(name, names))
			}
			data = next
		case '[':
			var array []json.RawMessage
			if err := json.Unmarshal(data, &array); err != nil {
				return problemf(": field %q: %v", field, err)
			}
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(array) {
				return problemf(": no element %q%s, an array of %d elements", name, in, len(array))
			}
			data = array[index]
		default:
			return problemf(": no field %q%s, which is %s", name, in, kind(data[0]))
		}
	}
	return problemf(": no field %q", field)
}

// unexpected reports that want was expected at the current position.
func (s *scanner) unexpected(want string) error {
	if s.at >= len(s.data) {
		return problemf(", column %d: expected %s, but the line ends; a row is one line", s.at+1, want)
	}
	r, size := utf8.DecodeRune(s.data[s.at:])
	if r == utf8.RuneError && size == 1 {
		return problemf(", column %d: expected %s, found the byte 0x%02x", s.at+1, want, s.data[s.at])
	}
	return problemf(", column %d: expected %s, found %q", s.at+1, want, r)
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end. A JSON text contains 0 only in an error.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

// value reads a value. n is its node on the paths of requested fields, or nil.
func (s *scanner) value(n *node) error {
	start := s.at
	var err error
	switch c := s.peek(); c {
	case '{', '[':
		if s.depth++; s.depth > maxDepth {
			return problemf(", column %d: nested more than %d deep", s.at+1, maxDepth)
		}
		s.at++
		if c == '{' {
			err = s.object(n)
		} else {
			err = s.array(n)
		}
		s.depth--
	case '"':
		_, err = s.text()
	case 't':
		err = s.literal("true")
	case 'f':
		err = s.literal("false")
	case 'n':
		err = s.literal("null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		err = s.number()
	default:
		return s.unexpected("a value")
	}
	if n != nil {
		for _, field := range n.fields {
			s.found[field] = s.data[start:s.at]
		}
	}
	return err
}

func (s *scanner) object(n *node) error {
	var seen uint64 // one bit per child
	s.space()
	if s.peek() == '}' {
		s.at++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.unexpected("a name in double quotes")
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		var child *node
		if n != nil && len(n.children) > 0 {
			if i := n.child(s.decodeKey(key)); i >= 0 {
				child = &n.children[i]
				if seen&(1<<i) != 0 {
					s.twice = child.name
				}
				seen |= 1 << i
			}
		}
		s.space()
		if s.peek() != ':' {
			return s.unexpected("a colon")
		}
		s.at++
		s.space()
		if err := s.value(child); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case '}':
			s.at++
			return nil
		default:
			return s.unexpected(`a comma or "}"`)
		}
	}
}

func (n *node) child(name []byte) int {
	for i := range n.children {
		if string(name) == n.children[i].name {
			return i
		}
	}
	return -1
}

// decodeKey returns a name without its escapes. A name with half of a surrogate pair matches no requested name.
func (s *scanner) decodeKey(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	var bad string
	if s.key, bad = unescape(s.key[:0], raw); bad != "" {
		return nil
	}
	return s.key
}

func (s *scanner) array(n *node) error {
	s.space()
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for i := 0; ; i++ {
		var child *node
		if n != nil {
			for c := range n.children {
				if n.children[c].index == i {
					child = &n.children[c]
				}
			}
		}
		if err := s.value(child); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case ']':
			s.at++
			return nil
		default:
			return s.unexpected(`a comma or "]"`)
		}
	}
}

// text reads a string and returns the bytes between its quotes.
func (s *scanner) text() ([]byte, error) {
	s.at++
	start := s.at
	for s.at < len(s.data) {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return s.data[start : s.at-1], nil
		case c < ' ':
			return nil, s.unexpected("an escape such as \\n or \\t")
		case c == '\\':
			s.at++
			switch s.peek() {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				s.at++
			case 'u':
				s.at++
				for range 4 {
					if !isHex(s.peek()) {
						return nil, s.unexpected("one of the four hexadecimal digits of an escape")
					}
					s.at++
				}
			default:
				return nil, s.unexpected(`one of " \ / b f n r t u`)
			}
		default:
			s.at++
		}
	}
	return nil, s.unexpected("the string's closing quote")
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) literal(word string) error {
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.unexpected(word)
		}
		s.at++
	}
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.peek() == '.' {
		s.at++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.peek()|0x20 == 'e' {
		s.at++
		if s.peek() == '+' || s.peek() == '-' {
			s.at++
		}
		return s.digits()
	}
	return nil
}

func (s *scanner) digits() error {
	if !isDigit(s.peek()) {
		return s.unexpected("a digit")
	}
	for isDigit(s.peek()) {
		s.at++
	}
	return nil
}

// unescape appends the decoded text of a valid string to b. bad is the first escape that is half of a surrogate pair.
func unescape(b, raw []byte) (_ []byte, bad string) {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(b, raw...), ""
		}
		b = append(b, raw[:i]...)
		c := raw[i+1]
		raw = raw[i+2:]
		switch c {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := hex4(raw)
			if utf16.IsSurrogate(r) {
				if len(raw) < 10 || raw[4] != '\\' || raw[5] != 'u' {
					return b, `\u` + string(raw[:4])
				}
				pair := utf16.DecodeRune(r, hex4(raw[6:]))
				if pair == utf8.RuneError {
					return b, `\u` + string(raw[:4])
				}
				r, raw = pair, raw[6:]
			}
			b = utf8.AppendRune(b, r)
			raw = raw[4:]
		default: // a quote, a backslash or a slash
			b = append(b, c)
		}
	}
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		digit := rune(c - '0')
		if !isDigit(c) {
			digit = rune(c|0x20-'a') + 10
		}
		r = r<<4 | digit
	}
	return r
}
