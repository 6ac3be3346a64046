package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/source"
)

const schema = `#Config: {` + source.LocationSchema + `
	// The unit of a row: a whole file, a run of lines between blank lines, or a line.
	split: *"file" | "paragraphs" | "lines"
	// Splits a row into the fields input, which keeps the separator at its end, and target.
	separator?: string & !=""
}
`

// New returns the provider.
func New() sdk.Provider { return newProvider(source.MaxRow) }

// newProvider returns a provider whose rows have at most most bytes.
func newProvider(most int) sdk.Provider {
	return source.New(source.Format{
		Description: protocol.ProviderDescription{Name: "text", Version: "2", Schema: schema},
		Parse:       func(raw json.RawMessage) (source.Config, error) { return parse(raw, most) },
	})
}

type config struct {
	source.Location
	parameters
	most int
}

type parameters struct {
	Separator string `json:"separator,omitempty"`
	Split     string `json:"split"`
}

func parse(raw json.RawMessage, most int) (source.Config, error) {
	c := config{parameters: parameters{Split: "file"}, most: most}
	if err := source.Decode(raw, &c); err != nil {
		return nil, err
	}
	switch c.Split {
	case "file", "paragraphs", "lines":
		return c, nil
	}
	return nil, sdk.Invalid(`split %q: expected "file", "paragraphs" or "lines"`, c.Split)
}

func (c config) Parameters() any { return c.parameters }

func (c config) Reader(fields []source.Field) (source.Reader, error) {
	known := []string{"text"}
	if c.Separator != "" {
		known = []string{"input", "target"}
	}
	cut := cutter{separator: []byte(c.Separator), most: c.most, values: make([][]byte, len(fields))}
	for _, field := range source.Names(fields) {
		index := slices.Index(known, field)
		if index < 0 {
			return nil, sdk.Invalid("no field %q; the fields of text are %s (input and target if a separator is set)",
				field, source.Candidates(field, known))
		}
		cut.fields = append(cut.fields, index)
	}
	switch c.Split {
	case "lines":
		return cut.lines, nil
	case "paragraphs":
		return cut.paragraphs, nil
	default:
		return cut.file, nil
	}
}

// cutter makes rows from pieces of text.
type cutter struct {
	separator []byte // nil for raw text
	// most is the maximum size of a row in bytes.
	most int
	// fields gives the content of each value: 0 for text or input, 1 for target.
	fields []int
	values [][]byte
}

// longer ends the problem of a row that is too long.
const longer = "has more than %d bytes, the most that a row may have"

// emit makes a row of a piece; where is its position, for problems.
func (c cutter) emit(rows *source.Rows, piece []byte, where string, args ...any) error {
	parts := [2][]byte{piece, nil}
	if len(c.separator) > 0 && len(piece) > 0 {
		at := bytes.Index(piece, c.separator)
		if at < 0 {
			return rows.Problem(where+": no separator %q", append(args, c.separator)...)
		}
		at += len(c.separator)
		parts = [2][]byte{piece[:at], piece[at:]}
	}
	for i, field := range c.fields {
		c.values[i] = parts[field]
	}
	return rows.Emit(c.values)
}

func (c cutter) file(f *source.File, rows *source.Rows) error {
	content, err := f.Content()
	if err != nil {
		return err
	}
	defer content.Close()
	if rows.Behind() > 0 {
		return rows.Skip(1)
	}
	text, err := io.ReadAll(io.LimitReader(content, int64(c.most)+1))
	if err != nil {
		return err
	}
	if len(text) > c.most {
		return rows.Problem("the file "+longer+`; use split: "paragraphs" or "lines"`, c.most)
	}
	return c.emit(rows, text, "the file")
}

func (c cutter) lines(f *source.File, rows *source.Rows) error {
	content, err := f.Content()
	if err != nil {
		return err
	}
	defer content.Close()
	lines := source.NewLines(content, c.most)
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case rows.Behind() > 0:
			err = rows.Skip(1)
		case line.Long:
			err = rows.Problem("line %d "+longer, line.Number, c.most)
		default:
			err = c.emit(rows, line.Text, "line %d", line.Number)
		}
		if err != nil {
			return err
		}
	}
}

func (c cutter) paragraphs(f *source.File, rows *source.Rows) error {
	content, err := f.Content()
	if err != nil {
		return err
	}
	defer content.Close()
	p := paragraphs{lines: source.NewLines(content, c.most), max: c.most}
	for {
		piece, first, err := p.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if piece == nil {
			err = rows.Problem("the paragraph at line %d "+longer, first, c.most)
		} else {
			err = c.emit(rows, piece, "the paragraph at line %d", first)
		}
		if err != nil {
			return err
		}
	}
}

// paragraphs groups lines into paragraphs.
type paragraphs struct {
	lines *source.Lines
	max   int
	buf   []byte
	end   []byte // the end of the last line in buf
}

// next returns the next paragraph and the number of its first line, or io.EOF. The paragraph is nil if it is too long, and
// valid until the next call otherwise.
func (p *paragraphs) next() (piece []byte, first int64, err error) {
	p.buf, p.end = p.buf[:0], p.end[:0]
	long := false
	for {
		line, err := p.lines.Next()
		if errors.Is(err, io.EOF) && first > 0 {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		if !line.Long && len(bytes.Trim(line.Text, " \t\v\f\r")) == 0 {
			if first > 0 {
				break
			}
			continue
		}
		if first == 0 {
			first = line.Number
		}
		long = long || line.Long || len(p.buf)+len(p.end)+len(line.Text) > p.max
		if !long {
			p.buf = append(append(p.buf, p.end...), line.Text...)
			p.end = append(p.end[:0], line.End...)
		}
	}
	if long {
		return nil, first, nil
	}
	return p.buf, first, nil
}
