package scores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Worker imports tables.
type Worker struct{ dir string }

// New returns a worker; relative paths of tables start at dir.
func New(dir string) *Worker { return &Worker{dir} }

// Work imports the table of the action's model: the files of a score for each of its datasets, in a folder of its key.
func (w *Worker) Work(ctx context.Context, t *action.Task) (result action.Result, err error) {
	m := t.Action.Model
	scratch, err := os.MkdirTemp(t.Dir, "scratch-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	table, err := w.fetch(ctx, m, scratch)
	if err != nil {
		return result, fmt.Errorf("%s: %w", t.Action.Name, err)
	}
	datasets, err := Import(ctx, table, t.Dir, scratch)
	if err != nil {
		return result, fmt.Errorf("%s: %w", t.Action.Name, err)
	}
	var documents, bytes int64
	for _, d := range datasets {
		summary := artifact.ScoreSummary{
			Documents: d.Documents, Bytes: d.Bytes, ScoredBytes: d.ScoredBytes, Tokens: d.Tokens, Nats: d.Nats,
			BPB:      artifact.BitsPerByte(d.Nats, d.ScoredBytes),
			Ledger:   artifact.LedgerTotals{Tokens: d.Nats, Span: d.Nats},
			Protocol: artifact.Protocol{Imported: m.Model.Scores.Protocol},
		}
		name := path.Join(d.Key, artifact.SummaryFile)
		if err := artifact.WriteJSON(t.Path(name), summary); err != nil {
			return result, err
		}
		result.Files = append(result.Files, name, path.Join(d.Key, artifact.ScoredFile), path.Join(d.Key, artifact.LedgerFile))
		if d.ZeroLossBytes > 0 {
			result.Warnings = append(result.Warnings, fmt.Sprintf("%s: %s: %d of %d scored bytes have a loss of exactly zero; the scorer may have left them out and still counted them",
				m.Name, d.Key, d.ZeroLossBytes, d.ScoredBytes))
		}
		documents += d.Documents
		bytes += d.Bytes
	}
	slices.Sort(result.Files)
	result.Measured = map[string]float64{plan.MeasuredDocuments: float64(documents), plan.MeasuredBytes: float64(bytes)}
	return result, nil
}

// fetch returns the path of the model's table on this machine, brought into dir if it is elsewhere. It refuses a table
// that is no longer what the plan was made with.
func (w *Worker) fetch(ctx context.Context, m *plan.Model, dir string) (_ string, err error) {
	location := m.Model.Scores.Path
	local := location
	copied := io.Discard
	if store.IsURL(location) {
		local = filepath.Join(dir, "table.parquet")
		f, err := os.Create(local)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		copied = f
	} else if !filepath.IsAbs(location) {
		location = filepath.Join(w.dir, location)
		local = location
	}
	digest, _, err := store.CopyObject(ctx, copied, location)
	if err != nil {
		return "", err
	}
	if want := m.Scores.Digest; digest != want {
		return "", &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf("%s changed since the plan was made, from %s to %s; restore it, or accept it with runner pin",
			location, want, digest)}
	}
	return local, nil
}
