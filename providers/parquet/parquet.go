package parquet

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"

	"surprisal.dev/plugins/footer"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/source"
)

// New returns the provider.
func New() sdk.Provider {
	return source.New(source.Format{
		Description: protocol.ProviderDescription{
			Name:    "parquet",
			Version: "2",
			Schema:  "#Config: {" + source.LocationSchema + "}\n",
		},
		Compressed: true,
		Parse: func(raw json.RawMessage) (source.Config, error) {
			var c config
			err := source.Decode(raw, &c)
			return c, err
		},
	})
}

type config struct{ source.Location }

func (c config) Parameters() any { return struct{}{} }

func (c config) Reader(fields []source.Field) (source.Reader, error) { return Reader(fields) }

// Reader prepares to read fields of Parquet files.
func Reader(fields []source.Field) (source.Reader, error) {
	paths := make([][]string, len(fields))
	for i, field := range source.Names(fields) {
		var err error
		if paths[i], err = source.SplitField(field); err != nil {
			return nil, err
		}
	}
	return func(f *source.File, rows *source.Rows) error { return read(f, fields, paths, rows) }, nil
}

func read(f *source.File, fields []source.Field, paths [][]string, rows *source.Rows) error {
	file, err := footer.Open(f.Label, f, f.Size(), parquet.FileReadMode(parquet.ReadModeSync))
	if err != nil {
		return err
	}
	columns := make([]*column, len(fields))
	for i, field := range fields {
		if columns[i], err = newColumn(f, file, field, paths[i]); err != nil {
			return err
		}
	}
	for i, group := range file.RowGroups() {
		n := group.NumRows()
		skip := min(n, rows.Behind())
		if err := rows.Skip(skip); err != nil {
			return err
		}
		if skip == n {
			continue
		}
		if err := readGroup(file, i, columns, skip, rows); err != nil {
			return err
		}
	}
	return nil
}

func readGroup(file *footer.File, group int, columns []*column, skip int64, rows *source.Rows) error {
	defer func() {
		for _, c := range columns {
			c.close()
		}
	}()
	for _, c := range columns {
		if err := c.seek(file, group, skip); err != nil {
			return err
		}
	}
	values := make([][]byte, len(columns))
	for range file.RowGroups()[group].NumRows() - skip {
		problem := ""
		for i, c := range columns {
			value, columnProblem, err := c.next()
			if err != nil {
				return err
			}
			if problem == "" {
				problem = columnProblem
			}
			values[i] = value
		}
		var err error
		if problem != "" {
			err = rows.Problem("%s", problem)
		} else {
			err = rows.Emit(values)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// damaged turns an error of the library, or a panic on unexpected data, into an error that names the file. Only the
// library's code may run under it.
func damaged(f *source.File, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
	if *err == nil || protocol.KindOf(*err) != "" {
		return
	}
	if ctxErr := f.Err(); ctxErr != nil {
		*err = ctxErr
		return
	}
	if _, ok := errors.AsType[*footer.LimitError](*err); ok {
		*err = sdk.Invalid("%s: %v", f.Label, *err)
		return
	}
	*err = sdk.Invalid("%s: damaged Parquet data: %v; download or copy the file again", f.Label, *err)
}
