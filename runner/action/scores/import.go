package scores

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// Dataset is what an import found of one dataset. Its files are in the folder of its key.
type Dataset struct {
	Key string
	// Tags are those of all its documents, sorted.
	Tags      []string
	Documents int64
	// Bytes counts the texts' bytes, ScoredBytes those of the scored spans, Tokens what the tokenizer made of the texts.
	Bytes, ScoredBytes, Tokens int64
	// ZeroLossBytes counts scored bytes with a loss of exactly zero: those that a scorer skipped and still counted look
	// like this.
	ZeroLossBytes int64
	// Nats is the loss on the scored bytes.
	Nats float64
}

// Import reads a scored_documents.parquet in any order and writes, for each dataset, DIR/KEY/scored_documents.parquet and
// DIR/KEY/ledger.parquet in the order of shard and row, with the foreign numbers as they are. Its memory is bounded; it
// sorts in files under scratch. It returns the datasets in the order of their keys. A row that is not valid, a key that
// comes twice and a file without rows are errors of kind InvalidInput; what is in dir then is incomplete.
func Import(ctx context.Context, path, dir, scratch string) (_ []Dataset, err error) {
	in, err := artifact.OpenScored(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	var (
		datasets []Dataset
		out      *writer
		before   artifact.Key
	)
	defer func() {
		if out != nil {
			out.abandon()
		}
	}()
	finish := func() error {
		if out == nil {
			return nil
		}
		datasets = append(datasets, out.found)
		return out.close()
	}
	for d, err := range artifact.SortScored(ctx, in.All(), scratch) {
		if err != nil {
			return nil, err
		}
		key := artifact.Key{Shard: d.Shard, Row: d.Row}
		if out != nil && out.found.Key == d.Dataset {
			if key == before {
				return nil, fault("%s: dataset %q, shard %q, row %d: found twice, wanted once", path, d.Dataset, d.Shard, d.Row)
			}
		} else {
			if err := finish(); err != nil {
				return nil, err
			}
			if out, err = create(path, dir, d.Dataset); err != nil {
				return nil, err
			}
		}
		before = key
		if err := out.write(d); err != nil {
			return nil, err
		}
	}
	if err := finish(); err != nil {
		return nil, err
	}
	if len(datasets) == 0 {
		return nil, fault("%s: found no rows, wanted scored documents", path)
	}
	return datasets, nil
}

// writer writes the files of one dataset.
type writer struct {
	found  Dataset
	files  []*os.File
	scored *artifact.ScoredWriter
	ledger *artifact.LedgerWriter
}

func create(from, dir, key string) (*writer, error) {
	if local := filepath.FromSlash(key); !filepath.IsLocal(local) || filepath.Clean(local) != local || key == "." {
		return nil, fault("%s: dataset_name: found %q, wanted a key without empty, \".\" or \"..\" parts", from, key)
	}
	w := &writer{found: Dataset{Key: key}}
	folder := filepath.Join(dir, filepath.FromSlash(key))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{artifact.ScoredFile, artifact.LedgerFile} {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			w.abandon()
			return nil, err
		}
		w.files = append(w.files, f)
	}
	w.scored, w.ledger = artifact.NewScoredWriter(w.files[0]), artifact.NewLedgerWriter(w.files[1])
	return w, nil
}

func (w *writer) write(d artifact.ScoredDocument) error {
	l := artifact.LedgerRow{Shard: d.Shard, Row: d.Row, ScoredBytes: d.ScoreEnd - d.ScoreStart}
	for i, loss := range d.PerByteLoss {
		if int32(i) < d.ScoreStart || int32(i) >= d.ScoreEnd {
			l.OutsideNats += loss
			continue
		}
		l.SpanNats += loss
		if loss == 0 {
			w.found.ZeroLossBytes++
		}
	}
	l.TokenNats = l.SpanNats + l.OutsideNats
	if math.IsInf(l.TokenNats, 0) {
		return fault("dataset %q, shard %q, row %d: found losses whose sum is not finite", d.Dataset, d.Shard, d.Row)
	}
	for _, tag := range d.Tags {
		if i, ok := slices.BinarySearch(w.found.Tags, tag); !ok {
			w.found.Tags = slices.Insert(w.found.Tags, i, tag)
		}
	}
	w.found.Documents++
	w.found.Bytes += int64(len(d.Text))
	w.found.ScoredBytes += int64(l.ScoredBytes)
	w.found.Tokens += int64(len(d.TokenIDs))
	w.found.Nats += l.SpanNats
	if err := w.scored.Write(d); err != nil {
		return err
	}
	return w.ledger.Write(l)
}

func (w *writer) close() error {
	err := errors.Join(w.scored.Close(), w.ledger.Close())
	for _, f := range w.files {
		err = errors.Join(err, f.Close())
	}
	w.files = nil
	return err
}

// abandon closes the files if close has not, because of an error that has been told.
func (w *writer) abandon() {
	for _, f := range w.files {
		_ = f.Close()
	}
	w.files = nil
}

func fault(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}
