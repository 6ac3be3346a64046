package scores

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// Import reads an exported table in any order and splits it by dataset. For each dataset it writes, in the directory
// DIR/NAME, scored_documents.parquet and ledger.parquet in the order of shard and row, with the numbers unchanged. It
// also writes DIR/NAME/summary.json, which records protocol as the name of the scoring protocol, and DIR/import.json.
// Memory is bounded; rows are sorted in files in the directory scratch. Import returns the content of import.json. An
// invalid row, a duplicate row and a file without rows are errors of kind InvalidInput; the files in dir are then
// incomplete.
func Import(ctx context.Context, path, dir, scratch, protocol string) (found artifact.Import, err error) {
	if found.Datasets, err = split(ctx, path, dir, scratch); err != nil {
		return artifact.Import{}, err
	}
	for _, d := range found.Datasets {
		summary := artifact.ScoreSummary{
			Documents: d.Documents, Bytes: d.Bytes, ScoredBytes: d.ScoredBytes, Tokens: d.Tokens, Nats: d.Nats,
			BPB: artifact.BitsPerByte(d.Nats, d.ScoredBytes), Interval: artifact.IntervalOf(d.Units), Units: d.Units, Shards: d.Shards,
			Ledger:   artifact.LedgerTotals{Tokens: d.Nats, Span: d.Nats},
			Protocol: artifact.ScoringProtocol{Imported: protocol},
		}
		if err := artifact.WriteJSON(filepath.Join(dir, filepath.FromSlash(d.Name), artifact.SummaryFile), summary); err != nil {
			return artifact.Import{}, err
		}
	}
	return found, artifact.WriteJSON(filepath.Join(dir, artifact.ImportFile), found)
}

// Files returns the names of the files of an import, sorted.
func Files(i artifact.Import) []string {
	files := []string{artifact.ImportFile}
	for _, d := range i.Datasets {
		for _, name := range []string{artifact.SummaryFile, artifact.ScoredFile, artifact.LedgerFile} {
			files = append(files, d.Name+"/"+name)
		}
	}
	slices.Sort(files)
	return files
}

// shownFlaws is the number of datasets that a warning names.
const shownFlaws = 3

// Warnings describes possible problems with the losses of an import: the number of datasets, and the first of them.
func Warnings(i artifact.Import) []string {
	var shown []string
	datasets, bytes := 0, int64(0)
	for _, d := range i.Datasets {
		if d.ZeroLossBytes == 0 {
			continue
		}
		datasets++
		bytes += d.ZeroLossBytes
		if len(shown) < shownFlaws {
			shown = append(shown, fmt.Sprintf("%s (%d of %d)", d.Name, d.ZeroLossBytes, d.ScoredBytes))
		}
	}
	if datasets == 0 {
		return nil
	}
	more := ""
	if datasets > len(shown) {
		more = fmt.Sprintf(" and %d more, listed in %s", datasets-len(shown), artifact.ImportFile)
	}
	return []string{fmt.Sprintf("%d scored bytes in %d of %d datasets have a loss of exactly zero; the scorer may have skipped them but still counted them: %s%s",
		bytes, datasets, len(i.Datasets), strings.Join(shown, ", "), more)}
}

// split writes the tables of each dataset.
func split(ctx context.Context, path, dir, scratch string) (_ []artifact.ImportedDataset, err error) {
	in, err := artifact.OpenExported(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	var (
		datasets []artifact.ImportedDataset
		out      *writer
		before   artifact.RowID
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
	for d, err := range artifact.SortExported(ctx, in.All(), scratch) {
		if err != nil {
			return nil, err
		}
		id := artifact.RowID{Shard: d.Shard, Row: d.Row}
		if out != nil && out.found.Name == d.Dataset {
			if id == before {
				return nil, fault("%s: dataset %q, shard %q, row %d: duplicate row", path, d.Dataset, d.Shard, d.Row)
			}
		} else {
			if err := finish(); err != nil {
				return nil, err
			}
			if out, err = create(path, dir, d.Dataset); err != nil {
				return nil, err
			}
		}
		before = id
		if err := out.write(d); err != nil {
			return nil, err
		}
	}
	if err := finish(); err != nil {
		return nil, err
	}
	if len(datasets) == 0 {
		return nil, fault("%s: the table has no rows", path)
	}
	return datasets, nil
}

// writer writes the files of one dataset.
type writer struct {
	found  artifact.ImportedDataset
	shards statistics.Runs[string]
	files  []*os.File
	scored *artifact.ScoredWriter
	ledger *artifact.LedgerWriter
}

func create(from, dir, dataset string) (*writer, error) {
	if local := filepath.FromSlash(dataset); !filepath.IsLocal(local) || filepath.Clean(local) != local || dataset == "." {
		return nil, fault("%s: invalid dataset_name %q: empty, \".\" and \"..\" components are not allowed", from, dataset)
	}
	if strings.ContainsAny(dataset, "\\\x00") {
		return nil, fault("%s: invalid dataset_name %q: backslashes and zero bytes are not allowed; separate components with slashes", from, dataset)
	}
	w := &writer{found: artifact.ImportedDataset{Name: dataset, Tags: []string{}}}
	datasetDir := filepath.Join(dir, filepath.FromSlash(dataset))
	if err := os.MkdirAll(datasetDir, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{artifact.ScoredFile, artifact.LedgerFile} {
		f, err := os.Create(filepath.Join(datasetDir, name))
		if err != nil {
			w.abandon()
			return nil, err
		}
		w.files = append(w.files, f)
	}
	w.scored, w.ledger = artifact.NewScoredWriter(w.files[0]), artifact.NewLedgerWriter(w.files[1])
	return w, nil
}

func (w *writer) write(d artifact.ExportedDocument) error {
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
		return fault("dataset %q, shard %q, row %d: the sum of the losses is not finite", d.Dataset, d.Shard, d.Row)
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
	w.found.Units.Add(l.SpanNats/math.Ln2, float64(l.ScoredBytes))
	w.shards.Add(d.Shard, l.SpanNats/math.Ln2, float64(l.ScoredBytes))
	w.found.Shards = w.shards.Sums()
	if err := w.scored.Write(artifact.ScoredDocument{
		Shard: d.Shard, Row: d.Row, Text: d.Text, ScoreStart: d.ScoreStart, ScoreEnd: d.ScoreEnd, TokenIDs: d.TokenIDs,
		TokenStarts: d.TokenStarts, TokenEnds: d.TokenEnds, PerByteLoss: d.PerByteLoss,
	}); err != nil {
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

// abandon closes the files if close has not, after an error that was returned.
func (w *writer) abandon() {
	for _, f := range w.files {
		_ = f.Close()
	}
	w.files = nil
}

func fault(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}
