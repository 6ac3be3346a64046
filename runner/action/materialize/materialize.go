package materialize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/words"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/unicode17"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// maxExamples bounds the examples of dropped rows in the metadata, per reason.
const maxExamples = 20

// Reasons why a row is dropped.
const (
	droppedBad             = "bad row"
	droppedEmpty           = "empty"
	droppedEmptyTarget     = "empty target"
	droppedTruncatedTarget = "target beyond the byte limit"
	droppedSample          = "not sampled"
)

// Work implements action.Kind. It writes documents.parquet, counts.json and metadata.json.
func (Kind) Work(ctx context.Context, t *action.Task) (action.Result, error) {
	var d parameters
	var at localSettings
	if err := errors.Join(t.Parameters(&d), t.LocalSettings(&at)); err != nil {
		return action.Result{}, err
	}
	if err := at.check(d); err != nil {
		return action.Result{}, err
	}
	provider, err := t.Plugins.Provider(ctx)
	if err != nil {
		return action.Result{}, err
	}
	request := protocol.ReadRequest{
		Source: protocol.Source{Config: at.Config, Dir: at.Dir},
		Pinned: protocol.Resolution{Parameters: d.Source, Revision: d.Revision, Local: at.Source.Local, Files: at.Source.Files},
		Fields: d.Fields, Cluster: d.Cluster, From: d.Rows.From, To: d.Rows.To,
	}
	w := t.Descriptor.Worker
	m := &materializer{dataset: &d, metadata: artifact.Metadata{
		Provider: artifact.Plugin{Name: w.Name, Version: w.Version, Protocol: w.Protocol, Digest: w.Digest},
		Source:   d.Source, Revision: d.Revision, Files: at.Source.Files,
		Fields: d.Fields, Cluster: d.Cluster, Rows: d.Rows, Limits: d.Limits, Dropped: map[string]artifact.Dropped{},
	}, clusters: map[string]struct{}{}, advance: t.Advance}
	started := time.Now()
	if d.Sample != nil {
		m.metadata.Sample = d.Sample
		if m.picked, err = pick(ctx, provider, request, &d); err != nil {
			return action.Result{}, err
		}
	}
	if err := m.write(ctx, t.Path(artifact.DocumentsFile), provider, request); err != nil {
		return action.Result{}, err
	}
	m.metadata.TargetInInput = m.given()
	c := m.metadata.Counts
	if c.Documents == 0 {
		return action.Result{}, protocol.Invalid("no documents from %d rows: %s; check the source, the field names, rows and limits",
			m.metadata.RowsRead, m.dropped())
	}
	if err := artifact.WriteJSON(t.Path(artifact.CountsFile), c); err != nil {
		return action.Result{}, err
	}
	if err := artifact.WriteJSON(t.Path(artifact.MetadataFile), m.metadata); err != nil {
		return action.Result{}, err
	}
	return action.Result{
		Files:    []string{artifact.CountsFile, artifact.DocumentsFile, artifact.MetadataFile},
		Warnings: m.warnings(),
		Measured: map[string]float64{
			plan.MeasuredDocuments: float64(c.Documents), plan.MeasuredBytes: float64(c.Bytes), artifact.MeasuredChatFramed: float64(m.framed()),
			plan.MeasuredLargest: float64(c.LargestDocument), plan.MeasuredRepeated: float64(m.beginnings.repeated),
			artifact.MeasuredEqual: float64(m.equals.count(c.Documents)),
			"bytesPerSecond":       float64(c.Bytes) / max(time.Since(started).Seconds(), math.SmallestNonzeroFloat64),
		},
	}, nil
}

// framed is the number of documents that are framed as a conversation.
func (m *materializer) framed() int64 {
	if m.metadata.ChatFramed == nil {
		return 0
	}
	return m.metadata.ChatFramed.Documents
}

// given is the number of documents whose input gives the target away. Short targets that inputs end with count if at least
// three quarters of the documents have one.
func (m *materializer) given() int64 {
	n := m.leaks[given]
	if all := n + m.leaks[maybeGiven]; 4*all >= 3*m.metadata.Counts.Documents {
		n = all
	}
	return n
}

// errEnough ends reading when the limit of documents is reached.
var errEnough = errors.New("enough documents")

// materializer turns rows into documents, one at a time.
type materializer struct {
	dataset  *parameters
	metadata artifact.Metadata
	// picked holds the ordinals of the sampled rows; nil means all rows.
	picked  map[int64]bool
	refused []string
	// lacking is true if a refused row has a problem with a field.
	lacking bool
	// clusters are the clusters seen.
	clusters map[string]struct{}
	advance  func(action.Progress)
	document artifact.Document
	// leaks counts the documents by how their inputs give their targets away.
	leaks      [given + 1]int64
	beginnings beginnings
	equals     equals
}

func (m *materializer) write(ctx context.Context, path string, p action.Provider, r protocol.ReadRequest) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := artifact.NewDocumentWriter(f)
	limit := m.dataset.Limits.Documents
	err = p.Read(ctx, r, func(row protocol.Row) error {
		m.metadata.RowsRead++
		keep, err := m.make(row)
		if err != nil || !keep {
			return err
		}
		if err := m.countCluster(); err != nil {
			return err
		}
		c := &m.metadata.Counts
		c.Documents++
		c.Bytes += int64(len(m.document.Text))
		c.LargestDocument = max(c.LargestDocument, int64(len(m.document.Text)))
		span := m.document.Text[m.document.ScoreStart:m.document.ScoreEnd]
		c.ScoredBytes += int64(len(span))
		c.Words += countWords(span)
		m.beginnings.add(m.document.Text)
		m.equals.add(&m.document)
		m.advance(action.Progress{Documents: 1, Bytes: int64(len(m.document.Text))})
		if err := out.Write(m.document); err != nil {
			return err
		}
		m.document = artifact.Document{} // free a large text before the next one is read
		if c.Documents == limit {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if len(m.refused) > 0 {
		return m.refusal()
	}
	return out.Close()
}

// make turns a row into m.document. It returns false if the row is dropped.
func (m *materializer) make(row protocol.Row) (bool, error) {
	problem, reason := check(m.dataset, row)
	if problem != "" {
		return false, m.bad(row, problem)
	}
	if reason == "" && m.picked != nil && !m.picked[row.Ordinal] {
		reason = droppedSample
	}
	if reason != "" {
		m.drop(reason, row, "")
		return false, nil
	}
	values, cluster := split(m.dataset, row)
	text, start, replaced := join(values)
	leaked := notGiven
	if len(values) == 2 {
		leaked = leakOf(text[:start], text[start:])
	}
	meta := documentMeta{ReplacedBytes: replaced}
	if limit := m.dataset.Limits.Bytes; limit > 0 && int64(len(text)) > limit {
		meta.TruncatedFrom = len(text)
		text = truncate(text, int(limit))
		if start >= len(text) {
			m.drop(droppedTruncatedTarget, row, "")
			return false, nil
		}
		m.metadata.Truncated++
	}
	if len(text) > math.MaxInt32 {
		return false, protocol.Invalid("%s row %d has %d bytes, more than %d; set limits.bytes", row.Shard, row.Number, len(text), math.MaxInt32)
	}
	m.leaks[leaked]++
	if replaced > 0 {
		m.metadata.ReplacedBytes += int64(replaced)
		m.metadata.ReplacedRows++
	}
	encoded, err := json.Marshal(meta)
	if err != nil {
		return false, err
	}
	m.document = artifact.Document{
		ID: fmt.Sprintf("%s:%d", row.Shard, row.Number), Shard: row.Shard, Row: row.Number,
		Text: text, ScoreStart: int32(start), ScoreEnd: int32(len(text)), Cluster: cluster,
		Meta: string(encoded),
	}
	m.lint(row)
	return true, nil
}

// bad counts a row with a problem. If such rows are errors, it returns an error after maxExamples of them.
func (m *materializer) bad(row protocol.Row, problem string) error {
	if m.dataset.BadRows != "skip" {
		m.lacking = m.lacking || strings.Contains(row.Problem, "field ")
		m.refused = append(m.refused, placeOf(row)+": "+problem)
		if len(m.refused) >= maxExamples {
			return m.refusal()
		}
	}
	m.drop(droppedBad, row, problem)
	return nil
}

// truncate truncates a text of more than limit bytes at the last character boundary at or before limit.
func truncate(text string, limit int) string {
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// documentMeta is the meta column of a document.
type documentMeta struct {
	// TruncatedFrom is the text's length in bytes before it was truncated at a byte limit.
	TruncatedFrom int `json:"truncatedFrom,omitempty"`
	ReplacedBytes int `json:"replacedBytes,omitempty"`
}

// check returns the problem of a bad row, or the reason why a good row gives no document.
func check(d *parameters, row protocol.Row) (problem, reason string) {
	if row.Problem != "" {
		return row.Problem, ""
	}
	if fields := d.fields(); len(row.Values) != len(fields) {
		return fmt.Sprintf("has %d values for the fields %s", len(row.Values), strings.Join(fields, ", ")), ""
	}
	values, cluster := split(d, row)
	if problem := checkCluster(d.Cluster, cluster); problem != "" {
		return problem, ""
	}
	if d.InvalidUTF8 != "replace" {
		for i, v := range values {
			if at := invalidAt(v); at >= 0 {
				return fmt.Sprintf("field %q is not valid UTF-8 at byte %d (0x%02X); set invalidUTF8: \"replace\" to read it with U+FFFD",
					d.Fields[i], at, v[at]), ""
			}
		}
	}
	// A row counts as empty by its text before truncation.
	switch {
	case len(values) == 1 && len(values[0]) == 0:
		return "", droppedEmpty
	case len(values) == 2 && len(values[1]) == 0:
		return "", droppedEmptyTarget
	}
	return "", ""
}

func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// join returns the document's text, the byte at which the last value starts, and the number of invalid bytes that
// became U+FFFD.
func join(values [][]byte) (text string, start, replaced int) {
	var b strings.Builder
	size := 0
	for _, v := range values {
		size += len(v)
	}
	b.Grow(size)
	for _, v := range values {
		start = b.Len()
		for len(v) > 0 {
			valid := len(v)
			if at := invalidAt(v); at >= 0 {
				valid = at
			}
			b.Write(v[:valid])
			if v = v[valid:]; len(v) > 0 {
				b.WriteRune(utf8.RuneError)
				v = v[1:]
				replaced++
			}
		}
	}
	return b.String(), start, replaced
}

// placeOf is the place of a row for people.
func placeOf(row protocol.Row) string { return fmt.Sprintf("%s row %d", row.Shard, row.Number) }

func (m *materializer) drop(reason string, row protocol.Row, problem string) {
	d := m.metadata.Dropped[reason]
	d.Rows++
	if reason != droppedSample && len(d.Examples) < maxExamples {
		example := placeOf(row)
		if problem != "" {
			example += ": " + problem
		}
		d.Examples = append(d.Examples, example)
	}
	m.metadata.Dropped[reason] = d
}

func (m *materializer) refusal() error {
	atLeast := ""
	if len(m.refused) == maxExamples {
		atLeast = "at least "
	}
	return protocol.Invalid("%s%d of the rows cannot be read:\n  %s\nfix the source, %sor set badRows: \"skip\" to skip and count such rows",
		atLeast, len(m.refused), strings.Join(m.refused, "\n  "), m.otherFields())
}

// otherFields is the advice to read other fields, if the refused rows lack the fields that the dataset reads.
func (m *materializer) otherFields() string {
	fields := m.dataset.Fields
	switch {
	case !m.lacking:
		return ""
	case m.dataset.Cluster != "":
		return fmt.Sprintf("set the fields of the dataset, and the field of its cluster, to fields that its rows have (now %s), ", strings.Join(m.dataset.fields(), ", "))
	case len(fields) == 2:
		return fmt.Sprintf("set supervised.input and supervised.target of the dataset to fields that its rows have (now %q and %q), ", fields[0], fields[1])
	}
	return fmt.Sprintf("set text of the dataset to a field that its rows have (now %q), ", fields[0])
}

func (m *materializer) dropped() string {
	var parts []string
	for _, reason := range []string{droppedBad, droppedEmpty, droppedEmptyTarget, droppedTruncatedTarget, droppedSample} {
		if d := m.metadata.Dropped[reason]; d.Rows > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", d.Rows, reason))
		}
	}
	from := m.dataset.Rows.From
	switch {
	case len(parts) == 0 && from > 0:
		return fmt.Sprintf("the range begins at row %d, and the source has %d rows or fewer, counted from 0", from, from)
	case len(parts) == 0:
		return "the source has no rows"
	}
	return strings.Join(parts, ", ")
}

// warnings returns warnings about the documents. They do not name the dataset, because datasets with equal definitions
// share the action.
func (m *materializer) warnings() []string {
	var out []string
	for _, reason := range []string{droppedBad, droppedEmptyTarget, droppedTruncatedTarget} {
		if d := m.metadata.Dropped[reason]; d.Rows > 0 {
			out = append(out, fmt.Sprintf("%d of %d rows skipped: %s (%s)", d.Rows, m.metadata.RowsRead, reason, d.Examples[0]))
		}
	}
	if n := m.metadata.Counts.Clusters; n > 0 && n < artifact.FewClusters {
		out = append(out, fmt.Sprintf("the field %q has %d values, the clusters of the documents; intervals from fewer than %d clusters are rough",
			m.dataset.Cluster, n, artifact.FewClusters))
	}
	if n := m.metadata.ReplacedRows; n > 0 {
		out = append(out, fmt.Sprintf("%d of %d rows are not valid UTF-8; bytes that became U+FFFD: %d",
			n, m.metadata.RowsRead, m.metadata.ReplacedBytes))
	}
	if n := m.metadata.TargetInInput; n > 0 {
		out = append(out, fmt.Sprintf("in %d of %d rows the input already contains the target", n, m.metadata.Counts.Documents))
	}
	if s := m.metadata.Straddling; s != nil {
		out = append(out, fmt.Sprintf("in %d of %d rows, the end of the input and the beginning of the target may be in one token (%s), of whose loss only a part counts; "+
			"end an input after a word or a sign and begin its target with the space that follows, or end the input after the last line break", s.Documents, m.metadata.Counts.Documents, s.Example))
	}
	return out
}

func countWords(span string) int64 {
	var n int64
	for segments := words.FromString(span); segments.Next(); {
		if strings.ContainsFunc(segments.Value(), isWordCharacter) {
			n++
		}
	}
	return n
}

func isWordCharacter(r rune) bool {
	class := unicode17.ClassOf(r)
	return class == unicode17.Letter || class == unicode17.Number
}
