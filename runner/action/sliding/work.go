package sliding

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/action/windows"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// Names of files.
const (
	reportFile     = "report.md"
	statisticsFile = "statistics.json"
)

// Work implements action.Kind.
func (Kind) Work(ctx context.Context, t *action.Task) (result action.Result, err error) {
	var p parameters
	if err := t.Parameters(&p); err != nil {
		return result, err
	}
	r := &report{tally: newTally(p), strips: strips{figure: p.Figure}}
	if err := r.readSummaries(t); err != nil {
		return result, err
	}
	if err := r.write(ctx, t); err != nil {
		return result, err
	}
	if r.Windows == 0 {
		return result, protocol.Invalid("no window in %s of %s: %s",
			terminal.Count(r.Texts, "text"), terminal.Count(r.Characters, "character"), tooShort(p.Slicing, r.longestWithout))
	}
	r.finish()
	r.Passages, r.Memorized, r.Easy = append(r.Passages, r.passages.found...), r.passages.memorized, r.passages.easy
	r.Strips = append(r.Strips, r.strips.sorted(r.Texts)...)
	r.note()
	figures, err := r.draw(t.Dir, p.Figure)
	if err != nil {
		return result, err
	}
	err = errors.Join(
		artifact.WriteJSON(t.Path(statisticsFile), r.Statistics),
		os.WriteFile(t.Path(reportFile), []byte(r.markdown()), 0o644),
		artifact.WriteTable(t.Dir, "thresholds", r.Thresholds),
		artifact.WriteTable(t.Dir, "histogram", r.Histogram),
		artifact.WriteTable(t.Dir, "discoverable", r.discoverableRows()),
	)
	files := append([]string{artifact.CharacterMaxFile, artifact.WindowsFile, reportFile, statisticsFile}, figures...)
	for _, table := range []string{"discoverable", "histogram", "texts", "thresholds"} {
		files = append(files, table+".csv", table+".parquet")
	}
	slices.Sort(files)
	return action.Result{
		Files:    files,
		Measured: map[string]float64{plan.MeasuredDocuments: float64(r.Texts), plan.MeasuredBytes: float64(r.bytes)},
	}, err
}

// report collects the results of a model on a dataset.
type report struct {
	*tally
	passages passages
	strips   strips
	bytes    int64
	tables   tables
}

// tables are the tables with rows for windows, characters and texts.
type tables struct {
	windows    *artifact.WindowWriter
	characters *artifact.Writer[artifact.CharacterMax]
	texts      *artifact.TableFile[textRow]
}

// textRow is a row of texts.csv. A probability of a text without a window is null.
type textRow struct {
	Document   int64    `json:"document" parquet:"document"`
	Shard      string   `json:"shard" parquet:"shard,dict"`
	Row        int64    `json:"row_index" parquet:"row_index"`
	Characters int64    `json:"characters" parquet:"characters"`
	Windows    int64    `json:"windows" parquet:"windows"`
	MaxLogP    *float64 `json:"max_log_p" parquet:"max_log_p,optional"`
	MeanLogP   *float64 `json:"mean_log_p" parquet:"mean_log_p,optional"`
	Greedy     int64    `json:"greedy" parquet:"greedy"`
	// Bright counts the windows with at least the lowest threshold, and Likely those with 0.5.
	Bright int64 `json:"windows_1e-4" parquet:"windows_1e-4"`
	Likely int64 `json:"windows_0.5" parquet:"windows_0.5"`
}

// readSummaries adds up the summaries of the parts, and checks that all are computed in the same way.
func (r *report) readSummaries(t *action.Task) error {
	var names []string
	var computed [][]map[string]string
	for _, role := range []string{windowsRole, refinedRole} {
		for i := 0; ; i++ {
			path, ok := t.Inputs[fmt.Sprintf("%s/%03d/%s", role, i, artifact.SummaryFile)]
			if !ok {
				break
			}
			var s windows.Summary
			if err := artifact.ReadJSON(path, &s); err != nil {
				return err
			}
			if role == windowsRole {
				r.Skipped += s.Skipped
				r.SkippedAtEnd += s.AtEnd
			}
			r.Prefix = s.Prefix
			if s.Computed == nil {
				continue
			}
			if r.Dtype != "" && (s.Dtype != r.Dtype || s.Arithmetic != r.arithmetic) {
				return protocol.Invalid("the parts were computed as %s %s and as %s %s; run all on machines of one kind", r.Dtype, r.arithmetic, s.Dtype, s.Arithmetic)
			}
			r.Dtype, r.arithmetic = s.Dtype, s.Arithmetic
			names = append(names, fmt.Sprintf("part %d", i))
			computed = append(computed, []map[string]string{s.Computed})
		}
	}
	r.Notes = append(r.Notes, score.ComputedDifferences(names, computed)...)
	return nil
}

// write reads all windows and writes the tables of windows, characters and texts.
func (r *report) write(ctx context.Context, t *action.Task) (err error) {
	in := merged{}
	defer func() {
		for _, s := range []*series{in.windows, in.refined} {
			if s != nil {
				err = errors.Join(err, s.close())
			}
		}
	}()
	if in.windows, err = openSeries(t, windowsRole); err != nil {
		return err
	}
	if in.refined, err = openSeries(t, refinedRole); err != nil {
		return err
	}
	var files []*os.File
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	for _, name := range []string{artifact.WindowsFile, artifact.CharacterMaxFile} {
		f, err := os.Create(t.Path(name))
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	r.tables.windows, r.tables.characters = artifact.NewWindowWriter(files[0]), artifact.NewCharacterMaxWriter(files[1])
	if r.tables.texts, err = artifact.CreateTable[textRow](t.Dir, "texts"); err != nil {
		return err
	}
	defer r.tables.texts.Abandon()
	if err := r.readTexts(ctx, t, in); err != nil {
		return err
	}
	return errors.Join(r.tables.windows.Close(), r.tables.characters.Close(), r.tables.texts.Close())
}

// readTexts reads the texts, and the windows of each.
func (r *report) readTexts(ctx context.Context, t *action.Task, in merged) (err error) {
	path, err := t.Input("documents/" + artifact.DocumentsFile)
	if err != nil {
		return err
	}
	documents, err := artifact.OpenDocuments(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, documents.Close()) }()
	for d, err := range documents.All() {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if err := r.readText(r.Texts, &d, in); err != nil {
			return err
		}
		r.Texts++
		r.bytes += int64(len(d.Text))
	}
	if !in.windows.done || !in.refined.done {
		return errors.New("there are windows of texts that the dataset does not have")
	}
	return nil
}

// readText reads the windows of a text.
func (r *report) readText(document int64, d *artifact.Document, in merged) error {
	row := textRow{Document: document, Shard: d.Shard, Row: d.Row, Characters: int64(utf8.RuneCountInString(d.Text))}
	r.passages.begin(d.Text)
	r.strips.begin(document, d, row.Characters)
	c := cover{give: func(character int64, logP float64) error {
		r.addCharacter(logP)
		r.strips.add(character, logP)
		return r.tables.characters.Write(artifact.CharacterMax{Document: document, Character: character, LogP: logP})
	}}
	var sum float64
	more := true
	for more {
		var err error
		more, err = in.next(document, func(w *artifact.Window, refined bool) error {
			if w.End > row.Characters {
				return fmt.Errorf("text %d has %d characters, and a window ends at %d", document, row.Characters, w.End)
			}
			if row.MaxLogP == nil || w.LogP > *row.MaxLogP {
				logP := w.LogP
				row.MaxLogP = &logP
			}
			if refined {
				r.Refining++
			} else {
				r.add(w)
				row.add(w)
				sum += w.LogP
			}
			r.passages.add(w, d)
			return errors.Join(c.add(w.Start, w.End, w.LogP), r.tables.windows.Write(*w))
		})
		if err != nil {
			return err
		}
	}
	if err := c.until(row.Characters); err != nil {
		return err
	}
	r.passages.end()
	r.strips.end()
	if row.Windows == 0 {
		r.TextsWithout++
		r.longestWithout = max(r.longestWithout, row.Characters)
	} else {
		mean := sum / float64(row.Windows)
		row.MeanLogP = &mean
	}
	return r.tables.texts.Write(&row)
}

// add counts a window of the cursor.
func (t *textRow) add(w *artifact.Window) {
	t.Windows++
	if w.Greedy() {
		t.Greedy++
	}
	if w.LogP >= lowest {
		t.Bright++
	}
	if w.LogP >= likely {
		t.Likely++
	}
}

// discoverableRow is a row of discoverable.csv. TopK is 0 if tokens are drawn from the whole vocabulary.
type discoverableRow struct {
	TopK  int64   `json:"top_k" parquet:"top_k"`
	P     float64 `json:"p" parquet:"p"`
	Tries float64 `json:"tries" parquet:"tries"`
	Share float64 `json:"share" parquet:"share"`
}

func (t *tally) discoverableRows() (rows []discoverableRow) {
	for _, d := range t.Discoverable {
		for i, n := range d.Tries {
			rows = append(rows, discoverableRow{d.TopK, d.P, n, d.Shares[i]})
		}
	}
	return rows
}
