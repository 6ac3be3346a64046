package scaling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// reportFile is the report for people.
const reportFile = "report.md"

// Work implements action.Kind.
func (Kind) Work(ctx context.Context, t *action.Task) (action.Result, error) {
	var p parameters
	if err := t.Parameters(&p); err != nil {
		return action.Result{}, err
	}
	scores, err := p.together().Summaries(t)
	if err != nil {
		return action.Result{}, err
	}
	s, err := newSummary(p, scores)
	if err != nil {
		return action.Result{}, err
	}
	tables, err := s.readDocuments(ctx, t, p)
	if err != nil {
		return action.Result{}, err
	}
	s.fit()
	figures, err := s.draw(t.Dir)
	if err != nil {
		return action.Result{}, err
	}
	err = errors.Join(
		tables.write(t.Dir, s, scores),
		artifact.WriteJSON(t.Path(artifact.SummaryFile), s),
		os.WriteFile(t.Path(reportFile), []byte(s.markdown(figures)), 0o644),
	)
	files := append([]string{reportFile, artifact.SummaryFile}, figures...)
	for _, table := range []string{"buckets", "datasets", "documents", "models", "sentences", "tokens"} {
		files = append(files, table+".csv", table+".parquet")
	}
	slices.Sort(files)
	return action.Result{
		Files:    files,
		Measured: map[string]float64{plan.MeasuredDocuments: float64(s.Documents), plan.MeasuredBytes: float64(s.ScoredBytes)},
	}, err
}

// newSummary returns a summary with everything that follows from those of the scores.
func newSummary(p parameters, scores [][]artifact.ScoreSummary) (*Summary, error) {
	s := &Summary{Datasets: p.Datasets, X: p.X, Fits: []Fit{}, Notes: []string{}, Gain: []string{}}
	for i, m := range p.Models {
		s.add(m, scores[i], p.Clustered)
	}
	if len(p.Datasets) > 0 && len(scores) > 0 {
		s.Protocol = scores[0][0].Protocol
	}
	s.ComputedDifferences = p.together().ComputedDifferences(scores)
	if err := s.place(); err != nil {
		return nil, err
	}
	for _, i := range s.largest() {
		s.Gain = append(s.Gain, s.Rows[i].Model)
	}
	return s, nil
}

// add adds the row of a model. The shards of the clustered datasets are clusters.
func (s *Summary) add(m model, scores []artifact.ScoreSummary, clustered []string) {
	row := Row{
		Model: m.Name, Family: m.Family, ByDataset: []float64{}, IntervalByDataset: []*artifact.Interval{}, PerplexityByDataset: []*float64{},
		UnitsByDataset: []int64{},
	}
	var sum artifact.ScoreSummary
	for j, of := range scores {
		if slices.Contains(clustered, s.Datasets[j]) {
			of.Units = of.Shards
		}
		if n := of.Model.Parameters; n > 0 {
			active := of.Model.Active()
			row.Parameters, row.ActiveParameters = &n, &active
		}
		if n := of.Model.FLOPsPerToken; n > 0 {
			row.FLOPsPerToken = &n
		}
		sum.Documents += of.Documents
		sum.ScoredBytes += of.ScoredBytes
		sum.ScoredTokens += of.ScoredTokens
		sum.Words += of.Words
		sum.Ledger.Span += of.Nats
		sum.Units.Merge(of.Units)
		row.ByDataset = append(row.ByDataset, of.BPB)
		row.IntervalByDataset = append(row.IntervalByDataset, artifact.IntervalOf(of.Units))
		row.UnitsByDataset = append(row.UnitsByDataset, of.Units.Units)
		row.PerplexityByDataset = append(row.PerplexityByDataset, perplexityOf(of.Nats, of.ScoredTokens))
	}
	sum.Finish()
	row.Tokens, row.Nats, row.BPB, row.Interval, row.Perplexity = sum.ScoredTokens, sum.Nats, sum.BPB, sum.Interval, sum.Perplexity
	s.Rows = append(s.Rows, row)
	s.Documents, s.ScoredBytes = sum.Documents, sum.ScoredBytes
}

// place finds the place of each model on the axis. If the spec names what backends count, a model without it is an
// error; otherwise it is a note.
func (s *Summary) place() error {
	for i := range s.Rows {
		r := &s.Rows[i]
		switch {
		case s.X.Of == ofValues:
			v := s.X.Values[r.Model]
			r.X = &v
		case s.X.Of == ofFLOPs:
			r.X = r.FLOPsPerToken
		case s.X.Of == ofActive && r.ActiveParameters != nil:
			v := float64(*r.ActiveParameters)
			r.X = &v
		case r.Parameters != nil:
			v := float64(*r.Parameters)
			r.X = &v
		}
		if r.X != nil {
			continue
		}
		problem := fmt.Sprintf("the backend of model %q does not report %s; set x.values to place it on the axis", r.Model, s.X.Title())
		if s.X.Of != "" {
			return protocol.Invalid("%s", problem)
		}
		s.Notes = append(s.Notes, problem)
	}
	s.noteActive()
	if n := s.tokens().Note(); n != "" {
		s.Notes = append(s.Notes, n)
	}
	for _, f := range s.families() {
		for i, row := range f.rows[1:] {
			if a, b := s.Rows[f.rows[i]], s.Rows[row]; *a.X == *b.X {
				s.Notes = append(s.Notes, fmt.Sprintf("models %q and %q have the same number of %s, %s; if they are stages of one training, set x.values",
					a.Model, b.Model, s.X.Title(), s.X.Format(*a.X)))
			}
		}
	}
	return nil
}

// tokens are the scored tokens of the models.
func (s *Summary) tokens() (counts score.TokenCounts) {
	for _, r := range s.Rows {
		counts = append(counts, score.TokenCount{Model: r.Model, Tokens: r.Tokens, Bytes: s.ScoredBytes})
	}
	return counts
}

// noteActive notes models that are placed by all their parameters but use a part of them for each token.
func (s *Summary) noteActive() {
	var parts []string
	for _, r := range s.Rows {
		if r.Parameters != nil && *r.ActiveParameters < *r.Parameters {
			parts = append(parts, fmt.Sprintf("%q uses %d", r.Model, *r.ActiveParameters))
		}
	}
	if s.X.Of == "" && len(parts) > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("x counts all parameters, but a token of %s; set x: of: \"active\" to count only these", strings.Join(parts, ", and one of ")))
	}
}

// readDocuments reads the losses of all documents, and writes the table of documents.
func (s *Summary) readDocuments(ctx context.Context, t *action.Task, p parameters) (_ *tables, err error) {
	out, err := artifact.CreateTable[documentRow](t.Dir, "documents")
	if err != nil {
		return nil, err
	}
	defer out.Abandon()
	sum := newTally(len(p.Models))
	r := &ranked{gain: s.largest()}
	c := &change{gain: s.largest()}
	for _, dataset := range p.Datasets {
		c.begin(slices.Contains(p.Clustered, dataset))
		if err := readDataset(ctx, t, p.Models, dataset, sinks{sum, r, c, out}); err != nil {
			return nil, err
		}
	}
	s.Ranked, s.Change = r.result(), s.changed(c)
	s.Sentences, s.Buckets = []Breakdown{}, []Breakdown{}
	for i, of := range sum.sentences {
		if name := strconv.Itoa(i + 1); of.parts > 0 {
			if i == lastSentence-1 {
				name += " and later"
			}
			s.Sentences = append(s.Sentences, breakdown(name, of))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sum.buckets)) {
		s.Buckets = append(s.Buckets, breakdown(name, sum.buckets[name]))
	}
	tables := &tables{tokens: sum.hardest(p.Models)}
	s.Tokens = s.compared(tables.tokens, sum)
	return tables, out.Close()
}

// sinks take the losses of documents.
type sinks struct {
	tally  *tally
	ranked *ranked
	change *change
	rows   *artifact.TableFile[documentRow]
}

// readDataset reads one dataset.
func readDataset(ctx context.Context, t *action.Task, models []model, dataset string, to sinks) (err error) {
	in, err := openReader(t, models, dataset)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	losses := make([]loss, len(models))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := in.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		to.tally.split(&in.documents[0])
		for i := range models {
			losses[i] = to.tally.count(i, &in.documents[i])
		}
		d := &in.documents[0]
		for i, m := range models {
			row := documentRow{
				Dataset: dataset, Shard: d.Shard, Row: d.Row, Model: m.Name, ScoredBytes: losses[i].bytes, ScoredTokens: losses[i].tokens,
				Nats: losses[i].nats, Perplexity: losses[i].perplexity(),
			}
			if row.ScoredBytes > 0 {
				bpb := losses[i].bpb()
				row.BPB = &bpb
			}
			if err := to.rows.Write(&row); err != nil {
				return err
			}
		}
		to.ranked.add(dataset, d, losses)
		to.change.add(d, losses)
	}
}
