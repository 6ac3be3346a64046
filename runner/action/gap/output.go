package gap

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"

	"surprisal.dev/runner/artifact"
)

// tableFile writes rows as NAME.csv and NAME.parquet. A null is an empty cell.
type tableFile[T any] struct {
	files   []*os.File
	csv     *csv.Writer
	parquet *artifact.Writer[T]
	cells   []string
}

func createTable[T any](dir, name string) (_ *tableFile[T], err error) {
	t := &tableFile[T]{}
	defer func() {
		if err != nil {
			t.abandon()
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
	t.parquet = artifact.NewWriter(t.files[1], func(*T) int { return 256 })
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		t.cells = append(t.cells, field.Tag.Get("json"))
	}
	return t, t.csv.Write(t.cells)
}

func (t *tableFile[T]) write(row *T) error {
	if err := t.parquet.Write(*row); err != nil {
		return err
	}
	value := reflect.ValueOf(row).Elem()
	for i := range t.cells {
		t.cells[i] = cell(value.Field(i))
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
	}
	return v.String()
}

func (t *tableFile[T]) close() error {
	t.csv.Flush()
	err := errors.Join(t.csv.Error(), t.parquet.Close())
	for _, f := range t.files {
		err = errors.Join(err, f.Close())
	}
	t.files = nil
	return err
}

// abandon closes the files if close has not, after an error that was returned.
func (t *tableFile[T]) abandon() {
	for _, f := range t.files {
		_ = f.Close()
	}
	t.files = nil
}

func writeTable[T any](dir, name string, rows []T) error {
	t, err := createTable[T](dir, name)
	if err != nil {
		return err
	}
	defer t.abandon()
	for i := range rows {
		if err := t.write(&rows[i]); err != nil {
			return err
		}
	}
	return t.close()
}

// Ranked records are the rows of the tables and of worst_documents.jsonl, with their direction and their rank, from 1.
type (
	rankedDocument struct {
		Direction string `json:"direction"`
		Rank      int    `json:"rank"`
		Document
	}
	rankedSegment struct {
		Direction string  `json:"direction" parquet:"direction"`
		Rank      int32   `json:"rank" parquet:"rank"`
		Dataset   string  `json:"dataset" parquet:"dataset"`
		Shard     string  `json:"shard" parquet:"shard"`
		Row       int64   `json:"row_index" parquet:"row_index"`
		Start     int32   `json:"byte_start" parquet:"byte_start"`
		End       int32   `json:"byte_end" parquet:"byte_end"`
		Bucket    string  `json:"bucket" parquet:"bucket"`
		Bytes     int64   `json:"bytes" parquet:"bytes"`
		DeltaBits float64 `json:"delta_bits" parquet:"delta_bits"`
		GapBPB    float64 `json:"gap_bpb" parquet:"gap_bpb"`
		Text      string  `json:"text" parquet:"text"`
		Preview   string  `json:"doc_preview" parquet:"doc_preview"`
	}
	rankedLiteral struct {
		Direction   string   `json:"direction" parquet:"direction"`
		Rank        int32    `json:"rank" parquet:"rank"`
		Name        string   `json:"name" parquet:"name"`
		Bucket      string   `json:"bucket" parquet:"bucket"`
		Documents   int64    `json:"documents" parquet:"documents"`
		Bytes       int64    `json:"bytes" parquet:"bytes"`
		ABPB        *float64 `json:"model_a_bpb" parquet:"model_a_bpb,optional"`
		BBPB        *float64 `json:"model_b_bpb" parquet:"model_b_bpb,optional"`
		GapBPB      *float64 `json:"gap_bpb" parquet:"gap_bpb,optional"`
		DeltaBits   float64  `json:"delta_bits" parquet:"delta_bits"`
		ABoundaries string   `json:"model_a_token_boundaries" parquet:"model_a_token_boundaries"`
		BBoundaries string   `json:"model_b_token_boundaries" parquet:"model_b_token_boundaries"`
	}
)

const (
	aWorse = "model_a_worse"
	bWorse = "model_b_worse"
)

// each calls visit with every record, its direction and its rank.
func (d Directions[T]) each(visit func(direction string, rank int, row T) error) error {
	for _, list := range []struct {
		name string
		rows []T
	}{{aWorse, d.AWorse}, {bWorse, d.BWorse}} {
		for i, row := range list.rows {
			if err := visit(list.name, i+1, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes every file except the table of documents.
func (s *Summary) write(dir string) error {
	var segments []rankedSegment
	var literals []rankedLiteral
	err := errors.Join(
		s.TopSegments.each(func(direction string, rank int, r Segment) error {
			segments = append(segments, rankedSegment{
				direction, int32(rank), r.Dataset, r.Shard, r.Row, r.Start, r.End, r.Bucket, r.Bytes, r.DeltaBits, r.GapBPB, r.Text, r.Preview,
			})
			return nil
		}),
		s.TopLiterals.each(func(direction string, rank int, r Literal) error {
			literals = append(literals, rankedLiteral{
				direction, int32(rank), r.Name, r.Bucket, r.Documents, r.Bytes, r.ABPB, r.BBPB, r.GapBPB, r.DeltaBits, r.ABoundaries, r.BBoundaries,
			})
			return nil
		}),
		writeTable(dir, "datasets", s.Datasets),
		writeTable(dir, "groups", s.Groups),
		writeTable(dir, "buckets", s.Buckets),
	)
	return errors.Join(err,
		writeTable(dir, "segments", segments),
		writeTable(dir, "literals", literals),
		writeFile(dir, "summary.json", func(w io.Writer) error {
			return jsonEncoder(w, "  ").Encode(s)
		}),
		writeFile(dir, "worst_documents.jsonl", func(w io.Writer) error {
			lines := jsonEncoder(w, "")
			return s.TopDocuments.each(func(direction string, rank int, row Document) error {
				return lines.Encode(rankedDocument{direction, rank, row})
			})
		}),
		writeFile(dir, "report.md", s.report),
	)
}

func jsonEncoder(w io.Writer, indent string) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e
}

func writeFile(dir, name string, fill func(io.Writer) error) error {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(fill(w), w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}
