package score

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Export implements action.Exporter.
func (Kind) Export(ctx context.Context, files action.Files, labels plan.Labels, dir string) ([]string, error) {
	of := func(string) artifact.Labels { return artifact.Labels{Dataset: labels.Dataset, Tags: labels.Tags} }
	return ExportTables(ctx, files, dir, of)
}

// ExportTables copies the files of scores to dir, their tables of scored documents with Marin's columns. Of says what the
// documents are labelled with in the table whose name has a prefix, which is empty or ends in a slash.
func ExportTables(
	ctx context.Context, files action.Files, dir string, of func(prefix string) artifact.Labels,
) ([]string, error) {
	names := files.Names()
	for _, name := range names {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return nil, errors.New("the artifact has a file outside its directory: " + name)
		}
		from, err := files.Path(ctx, name)
		if err != nil {
			return nil, err
		}
		write := func(to io.Writer) error { return copyFile(to, from) }
		if prefix, ok := strings.CutSuffix(name, artifact.ScoredFile); ok && (prefix == "" || strings.HasSuffix(prefix, "/")) {
			write = func(to io.Writer) error { return artifact.ExportScored(ctx, from, to, of(prefix)) }
		}
		if err := create(filepath.Join(dir, filepath.FromSlash(name)), write); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// create makes a file, and the directories that it is in, with what write writes.
func create(path string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

func copyFile(to io.Writer, from string) (err error) {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(to, f)
	return err
}
