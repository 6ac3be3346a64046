package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/cue/cuecontext"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/ngram"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/text"
)

// once reports whether this is the first call for a mark in any process of a plugin.
func once(mark string) bool {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), mark), os.O_CREATE|os.O_EXCL, 0o600)
	return err == nil && f.Close() == nil
}

// faultyProvider is the provider of text with one fault.
type faultyProvider struct {
	sdk.Provider
	fault string
}

func (p faultyProvider) Resolve(ctx context.Context, r protocol.ResolveRequest) (protocol.Resolution, error) {
	resolution, err := p.Provider.Resolve(ctx, r)
	switch {
	case p.fault == "resolves anew" && err == nil && !once("resolved"):
		resolution.Revision = "another"
	case p.fault == "calls all failures" && err != nil:
		err = errors.New("something is wrong")
	}
	return resolution, err
}

func (p faultyProvider) Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error {
	first := p.fault == "reads anew" && once("read")
	if p.fault == "takes any content" || p.fault == "knows all fields" {
		pinned, err := p.Provider.Resolve(ctx, protocol.ResolveRequest{Source: r.Source})
		if err != nil {
			return err
		}
		if p.fault == "takes any content" {
			r.Pinned = pinned
		} else {
			r.Fields = []string{"text"}
		}
	}
	if p.fault == "never stops" {
		ctx = context.WithoutCancel(ctx)
	}
	last := protocol.Row{}
	err := p.Provider.Read(ctx, r, func(row protocol.Row) error {
		if first && row.Ordinal == 2 {
			row.Values = [][]byte{[]byte("only once")}
		}
		last = row
		return emit(row)
	})
	if p.fault == "adds a row" && err == nil && r.To == 0 && !once("added") {
		last.Ordinal++
		last.Number++
		last.Values = [][]byte{[]byte("more")}
		err = emit(last)
	}
	return err
}

// faultyBackend is the n-gram backend with one fault.
type faultyBackend struct {
	sdk.Trainer
	fault string
}

func (b faultyBackend) Plan(ctx context.Context, m protocol.Model, s protocol.Settings) (protocol.Estimate, error) {
	e, err := b.Trainer.Plan(ctx, m, s)
	if b.fault == "plans nothing" && err == nil {
		err = errors.New("cannot count")
	}
	return e, err
}

func (b faultyBackend) Train(ctx context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error {
	if b.fault == "trains anew" && !once("trained") {
		documents = func(yield func(protocol.Document, error) bool) { yield(protocol.Document{Text: "other"}, nil) }
	}
	return b.Trainer.Train(ctx, m, documents, w)
}

func (b faultyBackend) Load(ctx context.Context, m protocol.Model) (sdk.Model, error) {
	model, err := b.Trainer.Load(ctx, m)
	return &faultyModel{Model: model, fault: b.fault, later: b.fault == "ages" && err == nil && !once("loaded")}, err
}

type faultyModel struct {
	sdk.Model
	fault string
	later bool // not the first loaded model
}

// TokenTexts implements sdk.TokenNamer.
func (m *faultyModel) TokenTexts(ctx context.Context, ids []int32) ([][]byte, error) {
	namer, ok := m.Model.(sdk.TokenNamer)
	if !ok {
		return nil, fmt.Errorf("%T does not name tokens", m.Model)
	}
	texts, err := namer.TokenTexts(ctx, ids)
	switch {
	case err != nil:
	case m.fault == "forgets a name":
		texts = texts[1:]
	case m.fault == "confuses names":
		texts = append(texts[1:], texts[0])
	}
	return texts, err
}

func (m *faultyModel) Score(ctx context.Context, s protocol.Settings, documents sdk.Documents, emit func(protocol.ScoredDocument) error) error {
	if m.fault == "takes any settings" && s.Prefix == "sideways" {
		s.Prefix = protocol.PrefixBOS
	}
	starts := map[int64]int32{}
	noted := func(ctx context.Context) iter.Seq2[protocol.Document, error] {
		return func(yield func(protocol.Document, error) bool) {
			for d, err := range documents(ctx) {
				starts[d.Index] = d.ScoreStart
				if m.fault == "small" && len(d.Text) > 500_000 {
					err = errors.New("too much")
				}
				if !yield(d, err) {
					return
				}
			}
		}
	}
	whole := s.Range == protocol.TokenRange{}
	return m.Model.Score(ctx, s, noted, func(a protocol.ScoredDocument) error {
		change := 0.0
		switch {
		case m.fault == "heeds the span" && starts[a.Index] > 0, m.later, m.fault == "heeds the order" && a.Index == 0 && whole,
			m.fault == "heeds the request" && s.Confidence, m.fault == "heeds the top" && s.TopK == 3, m.fault == "heeds the range" && s.Range.From > 0:
			change = 0.25
		case m.fault == "forgets the end":
			a.TotalNLL -= a.EOSNLL
			a.EOSNLL = 0
		case m.fault == "forgets the first" && len(a.TokenNLL) > 0 && whole:
			a.TotalNLL -= a.TokenNLL[0]
			a.TokenNLL[0] = 0
			a.Unscored = []protocol.Unscored{{Start: 0, End: a.TokenEnds[0], Reason: protocol.ReasonNoContext}}
			if c := a.Confidence; c.Len() > 0 {
				c.Top[0], c.TopNLL[0], c.Ranks[0], c.Entropies[0] = 0, 0, 0, 0
				clear(c.TopKMass[:min(1, len(c.TopKMass))])
			}
		case m.fault == "is never confident":
			a.Confidence = protocol.Confidence{}
		case m.fault == "counts the top twice" && s.TopK == 1:
			for i := range a.Confidence.TopKMass {
				a.Confidence.TopKMass[i] /= 2
			}
		case strings.HasPrefix(m.fault, "observes") && s.ActivationThreshold > 0:
			a.Activations = m.observed(a, s.ActivationThreshold)
		}
		if len(a.TokenNLL) > 0 {
			last := len(a.TokenNLL) - 1
			a.TokenNLL[last] += change
			a.TotalNLL += change
		}
		return emit(a)
	})
}

func serveFaulty(kind, fault string) {
	if kind == "provider" {
		sdk.ServeProvider(faultyProvider{text.New(), fault})
	} else {
		sdk.ServeBackend(faultyBackend{ngram.New().(sdk.Trainer), fault}) //nolint:forcetypeassert // It trains.
	}
}

// failures are the names of the checks that failed.
func failures(r Report) string {
	var names []string
	for _, c := range r.Checks {
		if c.Outcome == Failed {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, "; ")
}

// TestFaultyProviders checks that a plugin with one fault fails exactly the check for that fault.
func TestFaultyProviders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var lines strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&lines, "this is line %d\n", i)
	}
	for name, content := range map[string]string{"a.txt": "one\ntwo\nthree\nfour\n", "b.txt": lines.String(), "short.txt": "one\ntwo\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for fault, want := range map[string]string{
		"":                   "",
		"resolves anew":      "resolving a source twice gives the same result",
		"calls all failures": "a configuration that is not a struct is refused as invalid input",
		"reads anew":         "reading twice gives the same rows; reading resumes from any row; reading stops when canceled; many readers at the same time get the same rows; a crash in mid-stream loses and repeats nothing",
		"takes any content":  "content that differs from the pinned one is refused as changed",
		"knows all fields":   "an unknown field is refused, or makes the rows problems",
		"small":              "rows come in order, each with its fields or a problem",
	} {
		path := "[ab].txt"
		if fault == "small" {
			path = "short.txt"
		}
		c := Case{Source: protocol.Source{Config: fmt.Appendf(nil, `{"path": %q, "split": "lines"}`, path), Dir: dir}, Fields: []string{"text"}}
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			if got := failures(run(t, protocol.KindProvider, "provider: "+fault, c)); got != want {
				t.Errorf("failed are %q, want %q", got, want)
			}
		})
	}
	// A row too many appears only after the first read.
	c := Case{Source: protocol.Source{Config: json.RawMessage(`{"path": "a.txt", "split": "lines"}`), Dir: dir}, Fields: []string{"text"}}
	if got := failures(run(t, protocol.KindProvider, "provider: adds a row", c)); !strings.HasPrefix(got, "reading twice gives the same rows; reading resumes from any row; ") {
		t.Errorf("a row more: failed are %q", got)
	}
	// Large rows must arrive unchanged.
	large := c.Source
	c.Large, c.TooLarge = &large, nil
	if got := failures(run(t, protocol.KindProvider, "provider: ", c)); got != "a row of 64 MiB passes" {
		t.Errorf("small rows in the place of large ones: failed are %q", got)
	}
}

func TestFaultyBackends(t *testing.T) {
	t.Parallel()
	const mass = "the mass of the top tokens is given on request and does not change the losses"
	const ranges = "a range has the losses that its tokens would have alone"
	const both = "confidence is given on request and does not change the losses; " + mass
	for fault, want := range map[string]string{
		"":                   "",
		"plans nothing":      "a model can be planned",
		"trains anew":        "training twice gives the same file",
		"takes any settings": "unknown settings are refused as invalid input",
		"heeds the span":     "the scored span does not change the losses",
		"heeds the order":    "a document has the same losses whatever is scored with it; " + ranges,
		"forgets the end":    "the loss of the end-of-text token is given on request",
		"heeds the request":  both,
		"is never confident": both,
		"heeds the top":      mass,
		"heeds the range":    ranges,
		"observes":           "",
		"observes the order": "activations are given on request and do not change the losses",

		"counts the top twice":   mass,
		"observes the threshold": "activations are given on request and do not change the losses",
		"observes too little":    "activations are given on request and do not change the losses",
		"forgets a name":         "tokens have the texts for which they stand",
		"confuses names":         "tokens have the texts for which they stand",
		"ages":                   "a crash in mid-stream loses nothing and changes nothing",
		"small":                  "a document of 1 MiB passes",
		"forgets the first": `the ledger holds with prefix "first" and windows of bytes; the ledger holds with prefix "first" and windows of tokens; ` +
			`the ledger holds with prefix "bos" and windows of bytes; the ledger holds with prefix "bos" and windows of tokens; ` + ranges,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			r := run(t, protocol.KindBackend, "backend: "+fault, Case{Model: protocol.Model{Config: json.RawMessage(`{"order": 2}`)}, LargeBytes: 1 << 20})
			if got := failures(r); got != want {
				t.Errorf("failed are %q, want %q", got, want)
			}
		})
	}
}

// What the checks are made of, on either side of what they refuse.
func TestComparisons(t *testing.T) {
	row := func(ordinal int64, shard string, number int64, value string) protocol.Row {
		return protocol.Row{Ordinal: ordinal, Shard: shard, Number: number, Values: [][]byte{[]byte(value)}}
	}
	rows := []protocol.Row{row(0, "a", 0, "x"), row(1, "b", 0, "y"), row(2, "b", 1, "z")}
	files := protocol.Resolution{Files: []protocol.File{{Name: "a"}, {Name: "empty"}, {Name: "b"}}}
	answer := func(change func(*protocol.ScoredDocument)) protocol.ScoredDocument {
		a := protocol.ScoredDocument{TokenIDs: []int32{1, 2}, TokenStarts: []int32{0, 1}, TokenEnds: []int32{1, 3}, TokenNLL: []float64{1, 2}}
		change(&a)
		return a
	}
	plain := answer(func(*protocol.ScoredDocument) {})
	marked := func(start, end int32, reason string) []protocol.ScoredDocument {
		return []protocol.ScoredDocument{answer(func(a *protocol.ScoredDocument) {
			a.Unscored = []protocol.Unscored{{Start: start, End: end, Reason: reason}}
		})}
	}
	schema := cuecontext.New().CompileString(`a: int, b?: c: {d?: string}`)
	errBroken := errors.New("broken")
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"the same rows":   {compareRows(rows, nil, rows), ""},
		"an error":        {compareRows(rows, errBroken, rows), "broken"},
		"a row less":      {compareRows(rows[:2], nil, rows), "got 2 rows; the first read gave 3"},
		"a row more":      {compareRows(rows, nil, rows[:2]), "got 3 rows; the first read gave 2"},
		"another row":     {compareRows([]protocol.Row{rows[0], rows[1], row(2, "b", 1, "Z")}, nil, rows), "row 2 is "},
		"shards":          {checkShards(files, rows), ""},
		"no such shard":   {checkShards(files, []protocol.Row{row(0, "c", 0, "")}), `row 0 belongs to shard "c", which is not a file`},
		"a shard late":    {checkShards(files, []protocol.Row{rows[1], row(1, "a", 0, "")}), `row 1 belongs to shard "a"`},
		"a number":        {checkShards(files, []protocol.Row{rows[0], row(1, "b", 1, "")}), `row 1 has the number 1 in shard "b", expected 0`},
		"a number twice":  {checkShards(files, []protocol.Row{rows[1], rows[1]}), `has the number 0 in shard "b", expected 1`},
		"the same losses": {sameLosses(plain, plain, 0), ""},
		"other ids":       {sameLosses(plain, answer(func(a *protocol.ScoredDocument) { a.TokenIDs = []int32{1, 3} }), 9), "it has different tokens"},
		"other starts":    {sameLosses(plain, answer(func(a *protocol.ScoredDocument) { a.TokenStarts = []int32{0, 2} }), 9), "it has different tokens"},
		"other ends":      {sameLosses(plain, answer(func(a *protocol.ScoredDocument) { a.TokenEnds = []int32{1, 4} }), 9), "it has different tokens"},
		"fewer tokens":    {sameLosses(plain, protocol.ScoredDocument{}, 9), "it has different tokens"},
		"as tolerated":    {sameLosses(plain, answer(func(a *protocol.ScoredDocument) { a.TokenNLL = []float64{1, 2.5} }), 0.5), ""},
		"a larger loss":   {sameLosses(plain, answer(func(a *protocol.ScoredDocument) { a.TokenNLL = []float64{1, 2.5} }), 0.25), "token 1 has the losses 2 and 2.5 nats, which differ by more than 0.25"},
		"a smaller loss":  {sameLosses(plain, answer(func(a *protocol.ScoredDocument) { a.TokenNLL = []float64{0.5, 2} }), 0.25), "token 0 has the losses 1 and 0.5 nats"},
		"without prefix":  {checkPrefix(protocol.PrefixNone, marked(0, 1, protocol.ReasonNoContext)), ""},
		"not marked":      {checkPrefix(protocol.PrefixNone, []protocol.ScoredDocument{plain}), `document 0 has the unscored ranges []; with prefix "none"`},
		"wrongly marked":  {checkPrefix(protocol.PrefixNone, marked(1, 3, protocol.ReasonNoContext)), "document 0 has the unscored ranges"},
		"marked":          {checkPrefix(protocol.PrefixFirst, marked(0, 1, protocol.ReasonNoContext)), "document 0 has the unscored ranges"},
		"no token":        {checkPrefix(protocol.PrefixBOS, marked(0, 1, protocol.ReasonNoToken)), ""},
		"empty":           {checkPrefix(protocol.PrefixNone, []protocol.ScoredDocument{{}}), ""},
		"a field":         {hasField(schema, "a"), ""},
		"inner fields":    {hasField(schema, "b.c.d"), ""},
		"no field":        {hasField(schema, "b.d"), `#Config has no field "b.d"`},
		"accepted":        {wantInvalid(nil), "it was accepted"},
		"of no kind":      {wantInvalid(errBroken), `the error has the kind "", not "invalid input": broken`},
		"invalid":         {wantInvalid(protocol.Invalid("no")), ""},
		"no end":          {endedWith(nil), "it ended without an error"},
		"another end":     {endedWith(protocol.Invalid("no")), `it ended with an error of kind "invalid input": no`},
	} {
		if test.want == "" && test.err != nil || test.want != "" && (test.err == nil || !strings.Contains(test.err.Error(), test.want)) {
			t.Errorf("%s: error %v, want %q", name, test.err, test.want)
		}
	}
}

// A report has one line per check, and passes if nothing failed.
func TestReport(t *testing.T) {
	r := Report{Info: host.Info{Kind: protocol.KindBackend, Name: "x", Version: "2"}, Checks: []Check{
		{Name: "a", Outcome: Passed}, {Case: "c", Name: "b", Outcome: NotRun, Detail: "no\nreason"},
	}}
	var text strings.Builder
	n, err := r.WriteTo(&text)
	if want := "backend x 2\npassed  a\nnot run c: b: no\n        reason\n"; err != nil || text.String() != want || n != int64(len(want)) {
		t.Errorf("wrote %d bytes, %v:\n%s", n, err, text.String())
	}
	if !r.Passed() {
		t.Error("a check that was not run failed")
	}
	r.Checks = append(r.Checks, Check{Outcome: Failed}, Check{Outcome: Passed})
	if r.Passed() {
		t.Error("a failure passes")
	}
}

// Cases get names and defaults, and a canceled suite reports the checks that it did not run.
func TestSuite(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &suite{ctx: ctx}
	var got []string
	s.cases([]Case{{}, {Name: "named", Tolerance: 0.5, LargeBytes: 7}}, func(c Case) {
		got = append(got, fmt.Sprint(s.inCase, " ", c.Tolerance, " ", c.LargeBytes))
		s.check("inside", func() error { return nil })
	})
	if want := "case 1 1e-05 67108864, named 0.5 7"; strings.Join(got, ", ") != want {
		t.Errorf("cases are %q, want %q", got, want)
	}
	cancel()
	if s.check("late", func() error { return nil }) {
		t.Error("a check passes after the end")
	}
	s.notRun("never", "why")
	s.cases(nil, nil)
	want := []Check{
		{"case 1", "inside", Passed, ""}, {"named", "inside", Passed, ""}, {"", "late", Failed, "context canceled"}, {"", "never", NotRun, "why"},
		{"", "cases", NotRun, "none were given"},
	}
	if fmt.Sprint(s.report.Checks) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", s.report.Checks, want)
	}
	if _, err := Run(ctx, []string{"/bin/true"}, protocol.KindProvider); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that is stopped ends with %v", err)
	}
}
