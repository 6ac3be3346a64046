package sliding

import (
	"errors"
	"fmt"
	"io"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// series reads the tables of parts one after the other.
type series struct {
	paths []string
	in    *artifact.Reader[artifact.Window]
	// row is the next row, unless done.
	row  artifact.Window
	done bool
}

// openSeries reads the first row of the parts with a role.
func openSeries(t *action.Task, role string) (*series, error) {
	s := &series{}
	for i := 0; ; i++ {
		path, ok := t.Inputs[fmt.Sprintf("%s/%03d/%s", role, i, artifact.WindowsFile)]
		if !ok {
			break
		}
		s.paths = append(s.paths, path)
	}
	return s, s.next()
}

// next reads the next row.
func (s *series) next() error {
	for {
		if s.in == nil {
			if len(s.paths) == 0 {
				s.done = true
				return nil
			}
			in, err := artifact.OpenWindows(s.paths[0])
			if err != nil {
				return err
			}
			s.in, s.paths = in, s.paths[1:]
		}
		err := s.in.Read(&s.row)
		if !errors.Is(err, io.EOF) {
			return err
		}
		if err := s.close(); err != nil {
			return err
		}
	}
}

func (s *series) close() error {
	if s.in == nil {
		return nil
	}
	in := s.in
	s.in = nil
	return in.Close()
}

// merged reads the windows of the cursor and those that refine them, by document and start.
type merged struct{ windows, refined *series }

// next calls each with the next row of a document, and whether it refines. It returns false if there is none. The row is
// valid during the call.
func (m merged) next(document int64, each func(w *artifact.Window, refined bool) error) (bool, error) {
	s, refined := m.windows, false
	if a, b := m.windows, m.refined; a.done || !b.done && before(&b.row, &a.row) {
		s, refined = m.refined, true
	}
	if s.done || s.row.Document != document {
		return false, nil
	}
	if err := each(&s.row, refined); err != nil {
		return false, err
	}
	return true, s.next()
}

func before(a, b *artifact.Window) bool {
	return a.Document < b.Document || a.Document == b.Document && a.Start < b.Start
}
