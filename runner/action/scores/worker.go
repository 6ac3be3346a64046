package scores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Work implements action.Kind. It writes the files of a score for each dataset of the table, in a directory with the
// dataset's name.
func (Kind) Work(ctx context.Context, t *action.Task) (result action.Result, err error) {
	var p parameters
	var at localSettings
	if err := errors.Join(t.Parameters(&p), t.LocalSettings(&at)); err != nil {
		return result, err
	}
	scratch, err := os.MkdirTemp(t.Dir, "scratch-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	table, err := fetch(ctx, at, p.Table, scratch)
	if err != nil {
		return result, err
	}
	found, err := Import(ctx, table, t.Dir, scratch, p.Protocol)
	if err != nil {
		return result, err
	}
	var documents, bytes int64
	for _, d := range found.Datasets {
		documents += d.Documents
		bytes += d.Bytes
	}
	return action.Result{
		Files: Files(found), Warnings: Warnings(found),
		Measured: map[string]float64{plan.MeasuredDocuments: float64(documents), plan.MeasuredBytes: float64(bytes)},
	}, nil
}

// fetch returns the path of a table on this machine. It copies a remote table into dir. It rejects a table that changed
// since planning.
func fetch(ctx context.Context, at localSettings, want, dir string) (_ string, err error) {
	location := at.Path
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
		location = filepath.Join(at.Dir, location)
		local = location
	}
	digest, _, err := store.CopyObject(ctx, copied, location)
	if err != nil {
		return "", err
	}
	if digest != want {
		return "", &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf("%s changed since the plan was made, from %s to %s; restore it, or accept it with `runner pin`",
			location, want, digest)}
	}
	return local, nil
}
