package ci

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"surprisal.dev/plugins/protocol"
)

// Names of the files in Outputs.Dir.
const (
	JUnitFile   = "junit.xml"
	SummaryFile = "summary.md"
	CommentFile = "comment.md"
	VerdictFile = "verdict.env"
)

// Outputs are the files of a report.
type Outputs struct {
	Place
	// Dir is a directory for the files, or "".
	Dir string
}

// Prepare creates the directory and checks that every file can be written, so that a run is not in vain.
func (o Outputs) Prepare() error {
	if o.Dir != "" {
		if err := o.makeDir(); err != nil {
			return err
		}
	}
	for _, file := range o.appended() {
		f, err := os.OpenFile(file.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return protocol.Invalid("cannot write the file of %s: %v; make it writable, or unset %s", file.variable, err, file.variable)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// makeDir creates the directory and checks that files can be created in it.
func (o Outputs) makeDir() error {
	if info, err := os.Lstat(o.Dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return protocol.Invalid("--output %s is a symbolic link, which may have come with the repository, and is not followed; remove it, "+
			"or pass the target", o.Dir)
	}
	err := os.MkdirAll(o.Dir, 0o755)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(o.Dir, "*"+partial); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err != nil {
		return protocol.Invalid("cannot write to --output %s: %v; use a directory where files can be created", o.Dir, err)
	}
	return nil
}

// partial is the end of the name of an unfinished file.
const partial = ".partial"

// appended is a file to which a variable asks to append.
type appended struct{ variable, path string }

func (o Outputs) appended() (all []appended) {
	if o.Summary != "" {
		all = append(all, appended{"GITHUB_STEP_SUMMARY", o.Summary})
	}
	if o.Output != "" {
		all = append(all, appended{"GITHUB_OUTPUT", o.Output})
	}
	return all
}

// Write writes the report to all files. code is the exit code of the command.
func (o Outputs) Write(r *Report, code int) error {
	var errs []error
	if o.Summary != "" {
		errs = append(errs, naming("GITHUB_STEP_SUMMARY", appendSummary(o.Summary, r)))
	}
	if o.Output != "" {
		errs = append(errs, naming("GITHUB_OUTPUT", appendTo(o.Output, fmt.Sprintf("verdict=%s\nexit-code=%d\n", r.Verdict(), code))))
	}
	if o.Dir == "" {
		return errors.Join(errs...)
	}
	junit, err := r.JUnit()
	errs = append(errs, err)
	for _, file := range []struct {
		name string
		data []byte
	}{
		{JUnitFile, junit}, {SummaryFile, []byte(r.Summary(MaxSummary))}, {CommentFile, []byte(r.Comment(MaxComment))},
		{VerdictFile, fmt.Appendf(nil, "SURPRISAL_VERDICT=%s\nSURPRISAL_EXIT_CODE=%d\n", r.Verdict(), code)},
	} {
		errs = append(errs, o.replace(file.name, file.data))
	}
	return errors.Join(errs...)
}

// naming adds the variable that names a file to the error of writing it.
func naming(variable string, err error) error {
	if err != nil {
		return fmt.Errorf("cannot write to %s: %w", variable, err)
	}
	return nil
}

// replace writes a file of the directory as a whole. It does not follow a link in its place.
func (o Outputs) replace(name string, data []byte) (err error) {
	f, err := os.CreateTemp(o.Dir, name+".*"+partial)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(o.Dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// appendSummary appends the summary to the file of a step, which may have some text. GitHub ignores a file beyond its
// limit.
func appendSummary(path string, r *Report) error {
	size := int64(0)
	if info, err := os.Stat(path); err == nil {
		size = info.Size()
	}
	text := r.Summary(MaxSummary - int(min(size, MaxSummary)))
	if text == "" {
		return fmt.Errorf("the summary %s has %d bytes, so that nothing fits below the limit of %d; write less in the same step", path, size, MaxSummary)
	}
	return appendTo(path, text)
}

func appendTo(path, text string) (err error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}
