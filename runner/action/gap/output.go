package gap

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

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
		Units       int64    `json:"units" parquet:"units"`
		Low         *float64 `json:"gap_low" parquet:"gap_low,optional"`
		High        *float64 `json:"gap_high" parquet:"gap_high,optional"`
		P           *float64 `json:"gap_p" parquet:"gap_p,optional"`
		Q           *float64 `json:"gap_q" parquet:"gap_q,optional"`
		Verdict     string   `json:"verdict" parquet:"verdict"`
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
				direction, int32(rank), r.Name, r.Bucket, r.Documents, r.Bytes, r.ABPB, r.BBPB, r.GapBPB, r.DeltaBits,
				r.Units, r.Low, r.High, r.P, r.Q, r.Verdict, r.ABoundaries, r.BBoundaries,
			})
			return nil
		}),
		artifact.WriteTable(dir, "datasets", s.Datasets),
		artifact.WriteTable(dir, "groups", s.Groups),
		artifact.WriteTable(dir, "buckets", s.Buckets),
	)
	return errors.Join(err,
		artifact.WriteTable(dir, "segments", segments),
		artifact.WriteTable(dir, "literals", literals),
		writeFile(dir, "summary.json", func(w io.Writer) error {
			return encodeJSON(w, "  ", s)
		}),
		writeFile(dir, "worst_documents.jsonl", func(w io.Writer) error {
			return s.TopDocuments.each(func(direction string, rank int, row Document) error {
				return encodeJSON(w, "", rankedDocument{direction, rank, row})
			})
		}),
		writeFile(dir, "report.md", s.report),
	)
}

// encodeJSON writes a value and a line break. Text of datasets controls neither a terminal nor a CI system.
func encodeJSON(w io.Writer, indent string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(protocol.VisibleJSON(b.Bytes()))
	return err
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
