package artifact

import (
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
)

// TableFile writes rows as NAME.csv and NAME.parquet. T is a struct of numbers, strings, booleans and pointers to them,
// each with a json tag, which names the column of the CSV file, and a parquet tag. A nil pointer is an empty cell.
type TableFile[T any] struct {
	files   []*os.File
	csv     *csv.Writer
	parquet *Writer[T]
	// columns are the fields of T, without embedded structs, whose fields are columns.
	columns []reflect.StructField
	cells   []string
}

// CreateTable creates the files NAME.csv and NAME.parquet in a directory.
func CreateTable[T any](dir, name string) (_ *TableFile[T], err error) {
	t := &TableFile[T]{}
	defer func() {
		if err != nil {
			t.Abandon()
		}
	}()
	for _, extension := range []string{".csv", ".parquet"} {
		f, err := os.Create(filepath.Join(dir, name+extension))
		if err != nil {
			return nil, err
		}
		t.files = append(t.files, f)
	}
	t.csv = csv.NewWriter(t.files[0])
	t.parquet = NewWriter(t.files[1], func(*T) int { return 256 })
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if !field.Anonymous {
			t.columns, t.cells = append(t.columns, field), append(t.cells, field.Tag.Get("json"))
		}
	}
	return t, t.csv.Write(t.cells)
}

// Write appends a row. It keeps no reference to it.
func (t *TableFile[T]) Write(row *T) error {
	if err := t.parquet.Write(*row); err != nil {
		return err
	}
	value := reflect.ValueOf(row).Elem()
	for i := range t.cells {
		t.cells[i] = cell(value.FieldByIndex(t.columns[i].Index))
	}
	return t.csv.Write(t.cells)
}

func cell(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return ""
	case v.Kind() == reflect.Pointer:
		return cell(v.Elem())
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return v.String()
}

// Close completes and closes the files.
func (t *TableFile[T]) Close() error {
	t.csv.Flush()
	err := errors.Join(t.csv.Error(), t.parquet.Close())
	for _, f := range t.files {
		err = errors.Join(err, f.Close())
	}
	t.files = nil
	return err
}

// Abandon closes the files if Close has not. It is for the case of an error that the caller returns.
func (t *TableFile[T]) Abandon() {
	for _, f := range t.files {
		_ = f.Close()
	}
	t.files = nil
}

// WriteTable writes rows as NAME.csv and NAME.parquet to a directory.
func WriteTable[T any](dir, name string, rows []T) error {
	t, err := CreateTable[T](dir, name)
	if err != nil {
		return err
	}
	defer t.Abandon()
	for i := range rows {
		if err := t.Write(&rows[i]); err != nil {
			return err
		}
	}
	return t.Close()
}
