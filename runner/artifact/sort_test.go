package artifact

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// A sort gives the same order with any memory limit, and leaves no file behind.
func TestSortExported(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var rows []ExportedDocument
	for i := range 200 {
		text := strings.Repeat("y", r.IntN(50))
		rows = append(rows, ExportedDocument{
			Dataset: []string{"b", "a/é", "a"}[i%3], Shard: []string{"s2", "s10"}[r.IntN(2)], Row: int64(r.IntN(500)),
			Text: text, PerByteLoss: make([]float64, len(text)),
		})
	}
	sortKey := func(d ExportedDocument) string { return fmt.Sprintf("%s\x00%s\x00%05d", d.Dataset, d.Shard, d.Row) }
	key := func(d ExportedDocument) string {
		return fmt.Sprintf("%s|%s|%05d|%d", d.Dataset, d.Shard, d.Row, len(d.Text))
	}
	source := func(yield func(ExportedDocument, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
	for _, limit := range []int{1, 300, 5000, 7000, 1 << 20} {
		dir := t.TempDir()
		var got []string
		last := ""
		for row, err := range sortExported(t.Context(), source, dir, limit) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, key(row))
			if next := sortKey(row); next < last {
				t.Fatalf("limit %d: got %s after %s", limit, next, last)
			} else {
				last = next
			}
		}
		// Rows with equal shard and number may be in any order.
		var sorted []string
		for _, row := range rows {
			sorted = append(sorted, key(row))
		}
		slices.Sort(got)
		slices.Sort(sorted)
		if !slices.Equal(got, sorted) {
			t.Errorf("limit %d: rows differ", limit)
		}
		for _, err := range sortExported(t.Context(), source, dir, limit) {
			if err != nil {
				t.Error(err)
			}
			break
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("limit %d: got %v (%v) left behind", limit, left, err)
		}
	}
	broken := errors.New("broken")
	for _, err := range sortExported(t.Context(), func(yield func(ExportedDocument, error) bool) {
		if yield(rows[0], nil) {
			yield(rows[1], broken)
		}
	}, t.TempDir(), 1) {
		if !errors.Is(err, broken) {
			t.Errorf("got error %v, want the source's", err)
		}
	}
}

func TestSortLedger(t *testing.T) {
	rows := []LedgerRow{{Shard: "s2", Row: 1}, {Shard: "s10", Row: 30}, {Shard: "s10", Row: 4, UnscoredStarts: []int32{1}, UnscoredEnds: []int32{2}, UnscoredReasons: []string{"r"}}}
	var got []string
	for row, err := range SortLedger(t.Context(), func(yield func(LedgerRow, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}, t.TempDir()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %d %v", row.Shard, row.Row, row.UnscoredReasons))
	}
	if want := []string{"s10 4 [r]", "s10 30 []", "s2 1 []"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A sort that is canceled at any point ends with the context's error, and leaves no file behind.
func TestSortCanceled(t *testing.T) {
	for _, at := range []string{"reading", "merging"} {
		ctx, cancel := context.WithCancel(t.Context())
		dir := t.TempDir()
		given := 0
		source := func(yield func(ExportedDocument, error) bool) {
			for row := range int64(100) {
				given++
				if at == "reading" && row == 50 {
					cancel()
				}
				if !yield(ExportedDocument{Dataset: "d", Shard: "s", Row: row}, nil) {
					return
				}
			}
		}
		var failed error
		for row, err := range sortExported(ctx, source, dir, 200) {
			if failed = err; err == nil && row.Row == 10 {
				cancel()
			}
		}
		if left, err := os.ReadDir(dir); !errors.Is(failed, context.Canceled) || err != nil || len(left) > 0 {
			t.Errorf("%s: got error %v, and %v (%v) left behind", at, failed, left, err)
		}
		if at == "reading" && given > 51 {
			t.Errorf("%d rows were read after the 50th, where it was canceled", given-50)
		}
		cancel()
	}
}
