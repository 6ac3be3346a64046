package windows

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// gap is the range of a document between two cursors, of which the first is at a cursor.
type gap struct{ document, cursor int64 }

// bright returns the gaps at both sides of the windows whose suffix has at least the probability r.Above.
func bright(t *action.Task, r Refine, s Slicing) (map[int64][]int64, error) {
	found := map[gap]bool{}
	for i := range 2 {
		path, ok := t.Inputs[fmt.Sprintf("windows/%d/%s", i, artifact.WindowsFile)]
		if !ok {
			continue
		}
		err := ReadRows(path, func(w *artifact.Window) error {
			if w.LogP < math.Log(r.Above) {
				return nil
			}
			found[gap{w.Document, w.Cursor}] = true
			if before := w.Cursor - s.CursorInc; before >= 0 {
				found[gap{w.Document, before}] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	gaps := map[int64][]int64{}
	for g := range found {
		gaps[g.document] = append(gaps[g.document], g.cursor)
	}
	for _, of := range gaps {
		slices.Sort(of)
	}
	return gaps, nil
}

// ReadRows calls each with every row of a table of windows. The row is valid during the call.
func ReadRows(path string, each func(*artifact.Window) error) (err error) {
	in, err := artifact.OpenWindows(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	var row artifact.Window
	for {
		switch err := in.Read(&row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(&row); err != nil {
			return err
		}
	}
}

// between yields the cursors inside of gaps of width inc.
func between(gaps []int64, inc, stride int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, from := range gaps {
			for at := from + stride; at < from+inc; at += stride {
				if !yield(at) {
					return
				}
			}
		}
	}
}
