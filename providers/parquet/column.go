package parquet

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"surprisal.dev/plugins/footer"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/source"
)

// column reads one field of a file, one row at a time.
type column struct {
	file  *source.File
	field string
	// decimal writes the value of a column of integers, or is nil for strings.
	decimal func(into []byte, v parquet.Value) []byte
	written []byte // reused for decimal
	leaf    *parquet.Column
	// elements are the requested element numbers, one per repeated group on the path.
	elements []int

	pages  *footer.Pages
	page   parquet.Page
	reader parquet.ValueReader
	// values[at:n] are read and not yet used.
	values [256]parquet.Value
	at, n  int
	// copied holds a repeated column's value: the row may end on the next page.
	copied []byte
}

func newColumn(f *source.File, file *footer.File, of source.Field, path []string) (_ *column, err error) {
	defer damaged(f, &err)
	field := of.Name
	c := &column{file: f, field: field}
	if c.leaf, c.elements, err = find(file.Root(), field, path); err != nil {
		if _, complete := errors.AsType[*advice](err); complete {
			return nil, sdk.Invalid("%s: field %q: %v", f.Label, field, err)
		}
		return nil, sdk.Invalid("%s: field %q: %v; columns are %s", f.Label, field, err,
			source.Candidates(field, leaves(file.Root())))
	}
	if of.Cluster {
		if c.decimal = decimal(c.leaf.Type()); c.decimal == nil && !isText(c.leaf.Type()) {
			return nil, sdk.Invalid("%s: field %q is a column of %s; a cluster is a column of strings or integers", f.Label, field, c.leaf.Type())
		}
		return c, nil
	}
	if !isText(c.leaf.Type()) {
		return nil, sdk.Invalid("%s: field %q is a column of %s, not of strings; string columns are %s", f.Label, field, c.leaf.Type(),
			source.Candidates(field, texts(file.Root())))
	}
	return c, nil
}

// isText reports whether the values are plain bytes.
func isText(t parquet.Type) bool {
	if k := t.Kind(); k != parquet.ByteArray && k != parquet.FixedLenByteArray {
		return false
	}
	logical := t.LogicalType()
	if logical == nil {
		return true
	}
	switch logical.Value.(type) {
	case nil, *format.StringType, *format.JsonType, *format.EnumType:
		return true
	}
	return false
}

// decimal returns how the values of a column of integers are written, or nil for another column.
func decimal(t parquet.Type) func([]byte, parquet.Value) []byte {
	signed := true
	if logical := t.LogicalType(); logical != nil && logical.Value != nil {
		integer, ok := logical.Value.(*format.IntType)
		if !ok {
			return nil
		}
		signed = integer.IsSigned
	}
	switch kind := t.Kind(); {
	case kind == parquet.Int32 && signed:
		return func(into []byte, v parquet.Value) []byte { return strconv.AppendInt(into, int64(v.Int32()), 10) }
	case kind == parquet.Int64 && signed:
		return func(into []byte, v parquet.Value) []byte { return strconv.AppendInt(into, v.Int64(), 10) }
	case kind == parquet.Int32:
		return func(into []byte, v parquet.Value) []byte { return strconv.AppendUint(into, uint64(v.Uint32()), 10) }
	case kind == parquet.Int64:
		return func(into []byte, v parquet.Value) []byte { return strconv.AppendUint(into, v.Uint64(), 10) }
	}
	return nil
}

// bytes returns a value as it is passed on. It is valid until the next call.
func (c *column) bytes(v parquet.Value) []byte {
	if c.decimal == nil || v.IsNull() {
		return v.ByteArray()
	}
	c.written = c.decimal(c.written[:0], v)
	return c.written
}

// find returns the column that a field names: the column whose name is the whole field, or the leaf at its path. A
// field with a backslash is only a path.
func find(root *parquet.Column, field string, path []string) (leaf *parquet.Column, elements []int, err error) {
	leaf, elements, err = locate(root, path)
	if unnumbered, ok := errors.AsType[*unnumberedError](err); ok {
		err = unnumbered.complete(root, path)
	}
	if len(path) == 1 || strings.Contains(field, `\`) {
		return leaf, elements, err
	}
	whole, twice := child(root, field)
	switch {
	case twice != nil || whole == nil:
		return leaf, elements, cmp.Or(twice, err)
	case err == nil:
		return nil, nil, &advice{fmt.Sprintf("it is both a column with that name and a path through groups; write %q for the column, or %q for the path",
			source.JoinField([]string{field}), `\`+field)}
	}
	return locate(root, []string{field})
}

// advice is an error that tells which field to write.
type advice struct{ text string }

func (a *advice) Error() string { return a.text }

// unnumberedError is the error of a path through a list, or to it, in which the number of an element is missing.
type unnumberedError struct {
	list string
	// at is the position in the path that lacks the number.
	at int
}

func (e *unnumberedError) Error() string {
	return fmt.Sprintf("%q is a list; add the number of an element", e.list)
}

// complete adds the field that reads the first element, if the path leads to a column then.
func (e *unnumberedError) complete(root *parquet.Column, path []string) error {
	path = slices.Clone(path)
	for next := e; next != nil; {
		path = slices.Insert(path, next.at, "0")
		leaf, elements, err := locate(root, path)
		if err == nil {
			return &advice{fmt.Sprintf("%v, as in %q", e, spell(chain(root, leaf), elements, names(root)))}
		}
		next, _ = errors.AsType[*unnumberedError](err)
	}
	return e
}

// child returns the column inside c that has the name, or nil.
func child(c *parquet.Column, name string) (found *parquet.Column, err error) {
	for _, next := range c.Columns() {
		if next.Name() != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("there are several columns %q; rename them", name)
		}
		found = next
	}
	return found, nil
}

// locate walks from the root to the leaf at path.
func locate(root *parquet.Column, path []string) (leaf *parquet.Column, elements []int, err error) {
	c := root
	for i := 0; i < len(path); i++ {
		next, err := child(c, path[i])
		if err != nil {
			return nil, nil, err
		}
		if next != nil {
			c = next
		} else if list := onlyRepeated(c); list != nil && isNumber(path[i]) {
			// The path omits the repeated group: its element number comes next.
			c, i = list, i-1
		} else if c == root {
			return nil, nil, fmt.Errorf("no column %q", path[i])
		} else {
			return nil, nil, fmt.Errorf("no column %q in %q", path[i], strings.Join(c.Path(), "."))
		}
		if !c.Repeated() {
			continue
		}
		i++
		if i == len(path) || !isNumber(path[i]) {
			return nil, nil, &unnumberedError{source.JoinField(path[:i]), i}
		}
		element, err := strconv.Atoi(path[i])
		if err != nil {
			return nil, nil, err
		}
		elements = append(elements, element)
		// In list.element the inner name may be omitted, unless the next name is that name.
		if inner := c.Columns(); len(inner) == 1 && (i+1 == len(path) || path[i+1] != inner[0].Name()) && isListGroup(c.Name()) {
			c = inner[0]
		}
	}
	if !c.Leaf() {
		if onlyRepeated(c) != nil {
			return nil, nil, &unnumberedError{source.JoinField(path), len(path)}
		}
		return nil, nil, errors.New("it is a group of columns")
	}
	return c, elements, nil
}

// onlyRepeated returns the repeated group inside a list, or nil if c is not a list.
func onlyRepeated(c *parquet.Column) *parquet.Column {
	if children := c.Columns(); len(children) == 1 && children[0].Repeated() {
		return children[0]
	}
	return nil
}

// isListGroup recognizes the group between a list and its element by the names that writers use.
func isListGroup(name string) bool { return name == "list" || name == "bag" }

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// leaves returns the fields that name the columns.
func leaves(root *parquet.Column) []string {
	return columns(root, func(*parquet.Column) bool { return true })
}

// texts returns the fields that name the text columns.
func texts(root *parquet.Column) []string {
	return columns(root, func(leaf *parquet.Column) bool { return isText(leaf.Type()) })
}

func columns(root *parquet.Column, accept func(*parquet.Column) bool) []string {
	top := names(root)
	var fields []string
	var walk func(above []*parquet.Column)
	walk = func(above []*parquet.Column) {
		c := above[len(above)-1]
		if c.Leaf() && accept(c) {
			fields = append(fields, spell(above, nil, top))
		}
		for _, next := range c.Columns() {
			walk(append(above, next))
		}
	}
	walk([]*parquet.Column{root})
	return fields
}

// names returns the names of the columns inside c.
func names(c *parquet.Column) map[string]bool {
	all := map[string]bool{}
	for _, next := range c.Columns() {
		all[next.Name()] = true
	}
	return all
}

// chain returns the columns from the root to the leaf, none of which has the name of another one inside the same column.
func chain(root, leaf *parquet.Column) []*parquet.Column {
	all := []*parquet.Column{root}
	for _, name := range leaf.Path() {
		inside := all[len(all)-1].Columns()
		all = append(all, inside[slices.IndexFunc(inside, func(c *parquet.Column) bool { return c.Name() == name })])
	}
	return all
}

// spell returns the field with which find returns the last of the columns of a chain, and its elements: 0 in each list
// that elements does not number. top has the names of the columns inside the root.
func spell(chain []*parquet.Column, elements []int, top map[string]bool) string {
	var path []string
	for i, c := range chain[1:] {
		if !mayOmit(chain[i:]) {
			path = append(path, c.Name())
		}
		if c.Repeated() {
			element := 0
			if len(elements) > 0 {
				element, elements = elements[0], elements[1:]
			}
			path = append(path, strconv.Itoa(element))
		}
	}
	field := source.JoinField(path)
	if len(path) > 1 && top[field] {
		return `\` + field // the field alone would also be the name of a column
	}
	if len(path) == 1 && isUnescaped(path[0], top) {
		return path[0]
	}
	return field
}

// mayOmit reports whether a path may omit the name of the second of the columns, which is inside the first, and the name
// tells nothing: it is that of the group between a list or map and its elements, or of the element in that group.
func mayOmit(chain []*parquet.Column) bool {
	outer, c := chain[0], chain[1]
	if outer.Repeated() && isListGroup(outer.Name()) && len(outer.Columns()) == 1 {
		return !c.Repeated() && (len(chain) == 2 || chain[2].Name() != c.Name())
	}
	return onlyRepeated(outer) == c && (isListGroup(c.Name()) || c.Name() == "array" || c.Name() == "key_value")
}

// isUnescaped reports whether the name of a column inside the root needs no escapes as a field: it has none, and is not
// the beginning of a path, too.
func isUnescaped(name string, top map[string]bool) bool {
	path, err := source.SplitField(name)
	return err == nil && !strings.Contains(name, `\`) && (len(path) == 1 || !top[path[0]] && !isNumber(path[0]))
}

// seek moves to a row of a row group.
func (c *column) seek(file *footer.File, group int, row int64) (err error) {
	defer damaged(c.file, &err)
	c.pages, err = file.Pages(group, c.leaf.Index(), row)
	return err
}

// close releases the row group.
func (c *column) close() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	if c.pages != nil {
		_ = c.pages.Close()
	}
	c.pages, c.page, c.reader, c.at, c.n = nil, nil, nil, 0, 0
}

// next returns the field's value in the next row, valid until the next call, or the problem.
func (c *column) next() (value []byte, problem string, err error) {
	defer damaged(c.file, &err)
	if more, err := c.fill(); err != nil {
		return nil, "", err
	} else if !more {
		return nil, "", fmt.Errorf("column %q has fewer rows than its row group", c.field)
	}
	if c.leaf.MaxRepetitionLevel() == 0 {
		v := c.values[c.at]
		c.at++
		return c.check(v, c.bytes(v))
	}
	return c.element()
}

// element returns the requested element of the next row of a repeated column.
func (c *column) element() (value []byte, problem string, err error) {
	position := make([]int, len(c.elements))
	var found *parquet.Value
	for first := true; ; first = false {
		more, err := c.fill()
		if err != nil {
			return nil, "", err
		}
		if !more {
			break
		}
		v := c.values[c.at]
		level := v.RepetitionLevel()
		if first != (level == 0) {
			if first {
				return nil, "", fmt.Errorf("column %q begins a row at repetition level %d", c.field, level)
			}
			break
		}
		c.at++
		if level > 0 {
			position[level-1]++
			clear(position[level:])
		}
		if slices.Equal(position, c.elements) {
			c.copied = append(c.copied[:0], c.bytes(v)...)
			found = &v
		}
	}
	if found == nil {
		return nil, fmt.Sprintf("field %q: the list has no such element", c.field), nil
	}
	return c.check(*found, c.copied)
}

func (c *column) check(v parquet.Value, b []byte) (value []byte, problem string, err error) {
	if v.IsNull() && len(c.elements) > 0 {
		return nil, fmt.Sprintf("field %q is null or missing", c.field), nil
	}
	if v.IsNull() {
		return nil, fmt.Sprintf("field %q is null", c.field), nil
	}
	if len(b) > source.MaxRow {
		return nil, fmt.Sprintf("field %q has %d bytes; at most %d are allowed in a row", c.field, len(b), source.MaxRow), nil
	}
	return b, "", nil
}

// fill makes sure that values[at] exists; more is false at the end of the row group.
func (c *column) fill() (more bool, err error) {
	for c.at == c.n {
		if c.reader == nil {
			page, err := c.pages.ReadPage()
			if err == io.EOF { //nolint:errorlint // An end inside of a page is wrapped, and is damage.
				return false, nil
			}
			if err != nil {
				return false, err
			}
			c.page, c.reader = page, page.Values()
		}
		c.at = 0
		c.n, err = c.reader.ReadValues(c.values[:])
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if c.n == 0 {
			c.reader = nil
			parquet.Release(c.page)
			c.page = nil
		}
	}
	return true, nil
}
