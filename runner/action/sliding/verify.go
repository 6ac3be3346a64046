package sliding

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// Verify implements action.Verifier: it adds up the log probabilities of the tokens of each window, and computes the
// values of the characters from the windows again.
func (Kind) Verify(ctx context.Context, files action.Files) (ledgers int, err error) {
	var paths [3]string
	for i, name := range []string{artifact.WindowsFile, artifact.CharacterMaxFile, statisticsFile} {
		if paths[i], err = files.Path(ctx, name); err != nil {
			return 0, err
		}
	}
	var s Statistics
	if err := artifact.ReadJSON(paths[2], &s); err != nil {
		return 0, err
	}
	v := &verifier{in: &series{paths: paths[:1]}}
	if err := v.in.next(); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, v.in.close()) }()
	if err := v.replay(paths[1]); err != nil {
		return 1, err
	}
	if v.windows != s.Windows+s.Refining || v.characters != s.Characters {
		return 1, fmt.Errorf("the tables have %d windows and %d characters, the statistics %d and %d",
			v.windows, v.characters, s.Windows+s.Refining, s.Characters)
	}
	return 1, nil
}

// verifier compares the values of characters with the windows.
type verifier struct {
	in *series
	// values are those of the characters from the next one on.
	values              []float64
	windows, characters int64
}

// replay reads the values of the characters.
func (v *verifier) replay(path string) (err error) {
	characters, err := artifact.OpenCharacterMax(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, characters.Close()) }()
	var row, last artifact.CharacterMax
	for {
		err := characters.Read(&row)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		expected := last.Character + 1
		if v.characters == 0 || row.Document != last.Document {
			expected, v.values = 0, v.values[:0]
		}
		if row.Character != expected {
			return fmt.Errorf("text %d: character %d follows in the place of character %d", row.Document, row.Character, expected)
		}
		if err := v.compare(row); err != nil {
			return err
		}
		last = row
		v.characters++
	}
	if !v.in.done {
		return fmt.Errorf("text %d: the window at %d is out of order, or begins after the text", v.in.row.Document, v.in.row.Start)
	}
	return nil
}

// compare compares the value of a character with the largest of the windows that cover it.
func (v *verifier) compare(row artifact.CharacterMax) error {
	for !v.in.done && v.in.row.Document == row.Document && v.in.row.Start == row.Character {
		w := &v.in.row
		for int64(len(v.values)) < w.End-w.Start {
			v.values = append(v.values, math.Inf(-1))
		}
		for i := range v.values[:w.End-w.Start] {
			v.values[i] = max(v.values[i], w.LogP)
		}
		v.windows++
		if err := v.in.next(); err != nil {
			return err
		}
	}
	largest := math.Inf(-1)
	if len(v.values) > 0 {
		largest, v.values = v.values[0], v.values[1:]
	}
	if row.LogP != largest {
		return fmt.Errorf("text %d: character %d has the value %v, but the largest of the windows that cover it is %v",
			row.Document, row.Character, row.LogP, largest)
	}
	return nil
}
