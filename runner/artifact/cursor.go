package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"

	"surprisal.dev/plugins/footer"
)

// cursor reads the values of one column row by row, directly from decoded pages. Parquet describes nesting by two
// levels per value: a repetition level of 0 starts a row; a definition level below the column's maximum is a null or an
// empty list.
type cursor struct {
	want     column
	index    int  // the leaf's position in the file
	list     bool // a list of the leaf
	nullable bool // the column itself may be null
	defined  byte // definition level of a value that is not null

	pages       *footer.Pages
	page        parquet.Page
	lent        bool // a row refers to values of the page, so the library must not reuse it
	repetition  []byte
	definition  []byte
	count       int // levels in the page, or values where it has no levels
	level       int // position among the levels
	value       int // position among the values
	dictionary  bool
	indexes     []int32 // into the values, where the page has a dictionary
	int32Values []int32
	int64Values []int64
	doubles64   []float64
	bytes       []byte
	offsets     []uint32

	last string // the previous string, to share it if it repeats
}

func newCursor(root *parquet.Column, want column) (*cursor, error) {
	node := root.Column(want.name)
	if node == nil {
		var have []string
		for _, c := range root.Columns() {
			have = append(have, c.Name())
		}
		return nil, fmt.Errorf("column %q of type %s is missing; columns are %s", want.name, want.kind, strings.Join(have, ", "))
	}
	c := &cursor{want: want, nullable: node.Optional()}
	found := kindOf(node)
	if found != want.kind {
		return nil, fmt.Errorf("column %q: expected %s, got %s", want.name, want.kind, found)
	}
	for !node.Leaf() {
		node = node.Columns()[0]
		c.list = true
	}
	c.index = node.Index()
	c.defined = byte(node.MaxDefinitionLevel())
	return c, nil
}

// kindOf names a column's type as errors and column lists do. A list is a group around one repeated field, the form
// that every common writer produces.
func kindOf(node *parquet.Column) string {
	if node.Leaf() {
		name := "string"
		switch node.Type().Kind() {
		case parquet.ByteArray:
		case parquet.Int32:
			name = integerKind(node, "int32", "INT32", "INT(32,true)")
		case parquet.Int64:
			name = integerKind(node, "int64", "INT64", "INT(64,true)")
		case parquet.Double:
			name = "double"
		default:
			name = node.Type().String()
		}
		if node.Repeated() {
			return "repeated " + name
		}
		return name
	}
	if children := node.Columns(); len(children) == 1 && children[0].Repeated() && !node.Repeated() {
		if elements := children[0].Columns(); len(elements) == 1 && elements[0].Leaf() {
			return "list<" + kindOf(elements[0]) + ">"
		}
	}
	return "a struct"
}

func integerKind(node *parquet.Column, name string, plain ...string) string {
	if s := node.Type().String(); !slices.Contains(plain, s) {
		return s
	}
	return name
}

func (c *cursor) fault(format string, args ...any) error {
	return fmt.Errorf("column %q: %s", c.want.name, fmt.Sprintf(format, args...))
}

// enter opens the column's pages in a row group, starting at a row.
func (c *cursor) enter(file *footer.File, group int, row int64) error {
	c.leave()
	return guard(func() error {
		pages, err := file.Pages(group, c.index, row)
		if err != nil {
			return c.fault("%v", err)
		}
		c.pages = pages
		return nil
	})
}

func (c *cursor) leave() {
	c.release()
	if c.pages != nil {
		_ = c.pages.Close()
		c.pages = nil
	}
}

// finish releases a page whose values have all been read. A large row's pages are then not in memory together with the
// row, and the pages of two of its columns are not in memory at the same time.
func (c *cursor) finish() {
	if c.page != nil && c.level >= c.count {
		c.release()
		c.repetition, c.definition, c.indexes, c.int32Values, c.int64Values, c.doubles64, c.bytes, c.offsets = nil, nil, nil, nil, nil, nil, nil, nil
	}
}

// release returns a page to the library, unless a row refers to its values.
func (c *cursor) release() {
	if !c.lent {
		parquet.Release(c.page)
	}
	c.page, c.lent, c.count, c.level, c.value = nil, false, 0, 0, 0
}

// load reads the next page that has levels. After the last page the error is io.EOF.
func (c *cursor) load() error {
	return guard(func() error {
		for {
			c.release()
			if c.pages == nil {
				return io.EOF
			}
			page, err := c.pages.ReadPage()
			if err != nil {
				if errors.Is(err, io.EOF) {
					return io.EOF
				}
				return c.fault("%v", err)
			}
			c.page = page
			if err := c.take(page); err != nil {
				return err
			}
			if c.count > 0 {
				return nil
			}
		}
	})
}

// take sets the cursor to the values of a page, or to its dictionary and the indexes into it.
func (c *cursor) take(page parquet.Page) error {
	values := page.Data()
	c.dictionary = page.Dictionary() != nil
	if c.dictionary {
		c.indexes = values.Int32()
		values = page.Dictionary().Page().Data()
	}
	present, size := 0, 0
	switch strings.TrimSuffix(strings.TrimPrefix(c.want.kind, "list<"), ">") {
	case "int32":
		c.int32Values = values.Int32()
		size = len(c.int32Values)
	case "int64":
		c.int64Values = values.Int64()
		size = len(c.int64Values)
	case "double":
		c.doubles64 = values.Double()
		size = len(c.doubles64)
	case "string":
		c.bytes, c.offsets = values.ByteArray()
		size = max(len(c.offsets)-1, 0)
		last := uint32(0)
		for _, offset := range c.offsets {
			if offset < last || int(offset) > len(c.bytes) {
				return c.fault("the strings of a page overlap or exceed the page")
			}
			last = offset
		}
	}
	present = size
	if c.dictionary {
		present = len(c.indexes)
		for _, i := range c.indexes {
			if i < 0 || int(i) >= size {
				return c.fault("index %d is outside a dictionary of %d values", i, size)
			}
		}
	}
	c.repetition, c.definition = page.RepetitionLevels(), page.DefinitionLevels()
	c.count = int(page.NumValues())
	if c.list && len(c.repetition) != c.count || c.defined > 0 && len(c.definition) != c.count {
		return c.fault("a page of %d values has %d repetition and %d definition levels", c.count, len(c.repetition), len(c.definition))
	}
	expected := c.count
	if c.defined > 0 {
		expected = bytes.Count(c.definition, []byte{c.defined})
	}
	if expected != present {
		return c.fault("a page has %d values, but its levels describe %d", present, expected)
	}
	return nil
}

// flat returns the position of the next row's value in a column that is not a list.
func (c *cursor) flat() (int, error) {
	if c.level >= c.count {
		if err := c.load(); err != nil {
			return 0, c.short(err)
		}
	}
	if c.defined > 0 && c.definition[c.level] != c.defined {
		return 0, c.fault("unexpected null")
	}
	i := c.value
	c.level++
	c.value++
	if c.dictionary {
		i = int(c.indexes[i])
	}
	return i, nil
}

func (c *cursor) short(err error) error {
	if errors.Is(err, io.EOF) {
		return c.fault("ends before the file's last row")
	}
	return err
}

// spans calls take with the ranges of values of the next row's list: one range, or several if the list continues on the
// next page.
func (c *cursor) spans(take func(from, to int)) error {
	if c.level >= c.count {
		if err := c.load(); err != nil {
			return c.short(err)
		}
	}
	if c.repetition[c.level] != 0 {
		return c.fault("a page starts inside a list, but no previous page started the list")
	}
	for first := true; ; first = false {
		begin := c.level
		if first {
			begin++
		}
		end := c.count
		if n := bytes.IndexByte(c.repetition[begin:], 0); n >= 0 {
			end = begin + n
		}
		present := bytes.Count(c.definition[c.level:end], []byte{c.defined})
		if levels := end - c.level; present != levels {
			empty := byte(0)
			if c.nullable {
				empty = 1
			}
			if !first || levels != 1 || c.definition[c.level] != empty {
				return c.fault("unexpected null in a list")
			}
		}
		take(c.value, c.value+present)
		c.level, c.value = end, c.value+present
		// Load the next page, which may have another large list, only if this list may continue on it.
		if end < c.count || c.pages.WholeRows() {
			return nil
		}
		switch err := c.load(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case c.repetition[0] == 0:
			return nil
		}
	}
}

func (c *cursor) int32(to *int32) error {
	i, err := c.flat()
	if err != nil {
		return err
	}
	*to = c.int32Values[i]
	c.finish()
	return nil
}

func (c *cursor) int64(to *int64) error {
	i, err := c.flat()
	if err != nil {
		return err
	}
	*to = c.int64Values[i]
	c.finish()
	return nil
}

func (c *cursor) double(to *float64) error {
	i, err := c.flat()
	if err != nil {
		return err
	}
	*to = c.doubles64[i]
	c.finish()
	return nil
}

func (c *cursor) string(to *string) error {
	i, err := c.flat()
	if err != nil {
		return err
	}
	*to = c.at(i)
	c.finish()
	return nil
}

// nameBytes is the maximum size of a string that is compared with the previous row's. Texts are larger and do not
// repeat.
const nameBytes = 1 << 10

// at returns a string of the page. It returns the previous string if the two are equal, because names repeat in many
// rows.
func (c *cursor) at(i int) string {
	b := c.bytes[c.offsets[i]:c.offsets[i+1]]
	if len(b) > nameBytes {
		return string(b)
	}
	if string(b) != c.last {
		c.last = string(b)
	}
	return c.last
}

func (c *cursor) int32s(to *[]int32) error {
	list := (*to)[:0]
	err := c.spans(func(from, end int) { list = gather(c, list, c.int32Values, from, end) })
	*to = list
	c.finish()
	return err
}

func (c *cursor) doubles(to *[]float64) error {
	list := (*to)[:0]
	err := c.spans(func(from, end int) { list = gather(c, list, c.doubles64, from, end) })
	*to = list
	c.finish()
	return err
}

func (c *cursor) strings(to *[]string) error {
	old, list := *to, (*to)[:0]
	err := c.spans(func(from, end int) {
		for i := from; i < end; i++ {
			at := i
			if c.dictionary {
				at = int(c.indexes[i])
			}
			// A row usually has the tags of the previous row: keep their strings.
			if b := c.bytes[c.offsets[at]:c.offsets[at+1]]; len(list) < len(old) && string(b) == old[len(list)] {
				list = old[:len(list)+1]
			} else {
				list = append(list, string(b))
			}
		}
	})
	*to = list
	c.finish()
	return err
}

// lendValues is the minimum number of values of a list that is not copied from its page.
const lendValues = 128 << 10

// gather appends values of the cursor's page to a row's list. A large list that makes up most of its page refers to the
// page's memory instead of a copy.
func gather[V any](c *cursor, list, values []V, from, to int) []V {
	if c.dictionary {
		for _, i := range c.indexes[from:to] {
			list = append(list, values[i])
		}
		return list
	}
	if n := to - from; len(list) == 0 && n >= lendValues && n > len(values)/2 && n > cap(list) {
		c.lent = true
		return values[from:to:to]
	}
	return append(list, values[from:to]...)
}
