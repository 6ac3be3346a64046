package score

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Export implements action.Exporter. The exported table of scored documents has the columns that other tools read.
func (Kind) Export(ctx context.Context, files action.Files, labels plan.Labels, dir string) ([]string, error) {
	return ExportTables(ctx, files, dir, func(string) artifact.Labels {
		return artifact.Labels{Dataset: labels.Dataset, Tags: labels.Tags}
	})
}

// ExportTables writes the files of an artifact to dir. Its tables of scored documents get the columns that other tools
// read. The function labels returns the labels of a table by the table's directory within the artifact, "." if it is at
// the top.
func ExportTables(ctx context.Context, files action.Files, dir string, labels func(in string) artifact.Labels) ([]string, error) {
	for _, name := range files.Names() {
		from, err := files.Path(ctx, name)
		if err != nil {
			return nil, err
		}
		write := func(to io.Writer) error {
			if path.Base(name) == artifact.ScoredFile {
				return artifact.ExportScored(ctx, from, to, labels(path.Dir(name)))
			}
			return copyFile(to, from)
		}
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), write); err != nil {
			return nil, err
		}
	}
	return files.Names(), nil
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

func writeFile(at string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		return err
	}
	f, err := os.Create(at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}
