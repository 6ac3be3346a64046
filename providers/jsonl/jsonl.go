package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/source"
)

// New returns the provider.
func New() sdk.Provider { return newProvider(source.MaxRow) }

// newProvider returns a provider whose lines have at most most bytes.
func newProvider(most int) sdk.Provider {
	return source.New(source.Format{
		Description: protocol.ProviderDescription{
			Name:    "jsonl",
			Version: "4",
			Schema:  "#Config: {" + source.LocationSchema + "}\n",
		},
		Parse: func(raw json.RawMessage) (source.Config, error) {
			c := config{most: most}
			err := source.Decode(raw, &c)
			return c, err
		},
	})
}

type config struct {
	source.Location
	most int
}

func (c config) Parameters() any { return struct{}{} }

func (c config) Reader(fields []source.Field) (source.Reader, error) { return reader(fields, c.most) }

// Reader prepares to read fields of JSON Lines files.
func Reader(fields []source.Field) (source.Reader, error) { return reader(fields, source.MaxRow) }

// reader prepares to read fields of lines of at most most bytes.
func reader(fields []source.Field, most int) (source.Reader, error) {
	s, err := newScanner(fields)
	if err != nil {
		return nil, err
	}
	s.most = most
	return s.read, nil
}

const blank = " \t\r\n"

func (s *scanner) read(f *source.File, rows *source.Rows) error {
	content, err := f.Content()
	if err != nil {
		return err
	}
	defer content.Close()
	lines := source.NewLines(content, s.most)
	begun := false
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		text := bytes.TrimLeft(line.Text, blank)
		if len(text) == 0 && !line.Long {
			continue
		}
		if !begun && !line.Long && text[0] == '[' {
			return sdk.Invalid("%s begins with \"[\": it is a JSON array; expected JSON Lines, one object per line; "+
				"convert it: jq -c '.[]' FILE > FILE.jsonl", f.Label)
		}
		begun = true
		switch {
		case rows.Behind() > 0:
			err = rows.Skip(1)
		case line.Long:
			err = rows.Problem("line %d has more than %d bytes, the most that a row may have", line.Number, s.most)
		default:
			values, problem := s.scan(line.Text)
			if problem != nil {
				err = rows.Problem("line %d%v", line.Number, problem)
			} else {
				err = rows.Emit(values)
			}
		}
		if err != nil {
			return err
		}
	}
}
