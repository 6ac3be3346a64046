package gap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// Side is one model's scores.
type Side struct {
	// Name is the model's name, for people.
	Name string
	// Protocol is the scoring protocol, a JSON object; nil if it is unknown.
	Protocol []byte
	Datasets []Table
}

// Table is one model's scores on one dataset. A table that is not in the order of shards and rows is sorted first.
type Table struct {
	// Dataset is the dataset's name, and Tags are its tags.
	Dataset    string
	Tags       []string
	ScoredPath string
	// Clustered means that documents of the same shard are not independent of each other. Documents that name their
	// cluster are not independent of those of the same cluster.
	Clustered bool
	// NoiseBPB is by how much the bits per byte of a document changed when it was scored again; 0 if that is unknown.
	NoiseBPB float64
	// Computed describes the hardware and software that computed the scores; nil if it is unknown.
	Computed map[string]string

	grouped bool // whether the rows are in the order of their clusters
}

// Options are options of a comparison.
type Options struct {
	// Force compares sides with different scoring protocols. The report then lists the differences.
	Force bool
	// Scratch is a directory for temporary files, which Compare removes. Empty means the system's.
	Scratch string

	literals int // the maximum number of literals in memory; 0 means maxLiterals
	cuts     int // the same for texts that tokenizers cut differently; 0 means maxCuts
}

// Sizes of the report, equal to those of Marin's.
const (
	topDocuments = 25
	topSegments  = 40
	topLiterals  = 40
)

// maxCuts bounds the texts in memory that tokenizers cut differently.
const maxCuts = 1 << 14

// maxLiterals bounds the literals in memory, at about 300 bytes each.
const maxLiterals = 1 << 16

// Compare compares two sides and writes the report's files to the directory out: summary.json, report.md,
// worst_documents.jsonl, and datasets, groups, buckets, segments, literals and documents as .csv and .parquet. Equal
// input gives equal bytes. An error of kind InvalidInput names the dataset, shard and row that cannot be compared, and
// the reason. The files are then incomplete.
func Compare(ctx context.Context, a, b Side, out string, options Options) (_ *Summary, err error) {
	differences, err := protocolDifferences(a, b)
	if err != nil {
		return nil, err
	}
	if len(differences) > 0 && !options.Force {
		return nil, protocol.Invalid("models %q and %q have different scoring protocols (%s); score both under the same one, or force the comparison",
			a.Name, b.Name, strings.Join(differences, "; "))
	}
	scratch, err := os.MkdirTemp(options.Scratch, "gap-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	for _, side := range []*Side{&a, &b} {
		side.Datasets = slices.SortedFunc(slices.Values(side.Datasets), func(x, y Table) int { return cmp.Compare(x.Dataset, y.Dataset) })
	}
	if err := sameDatasets(a, b); err != nil {
		return nil, err
	}
	if a, b, err = arrange(ctx, a, b, scratch); err != nil {
		return nil, err
	}
	documents, err := artifact.CreateTable[DocumentRow](out, "documents")
	if err != nil {
		return nil, err
	}
	defer documents.Abandon()
	if options.literals == 0 {
		options.literals = maxLiterals
	}
	if options.cuts == 0 {
		options.cuts = maxCuts
	}
	c := &comparison{
		a: a, b: b, datasets: make([]spread, len(a.Datasets)), named: make([]bool, len(a.Datasets)), documents: documents,
		literals: newLiterals(scratch, options.literals), cuts: &literals{limit: options.cuts, seed: maphash.MakeSeed(), forgets: true},
	}
	for _, t := range []*top[Document]{&c.topDocuments[0], &c.topDocuments[1]} {
		t.limit = topDocuments
	}
	for _, t := range []*top[Segment]{&c.topSegments[0], &c.topSegments[1]} {
		t.limit = topSegments
	}
	defer func() { err = errors.Join(err, c.literals.close(), c.cuts.close()) }()
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	if err := documents.Close(); err != nil {
		return nil, err
	}
	summary, err := c.summary(differences)
	if err != nil {
		return nil, err
	}
	return summary, summary.write(out)
}

// sameDatasets checks that both sides have the same datasets, each once.
func sameDatasets(a, b Side) error {
	for _, side := range []Side{a, b} {
		for i := 1; i < len(side.Datasets); i++ {
			if dataset := side.Datasets[i].Dataset; dataset == side.Datasets[i-1].Dataset {
				return protocol.Invalid("model %q: duplicate dataset %q", side.Name, dataset)
			}
		}
	}
	has := func(side Side, dataset string) bool {
		return slices.ContainsFunc(side.Datasets, func(t Table) bool { return t.Dataset == dataset })
	}
	for _, pair := range [][2]Side{{a, b}, {b, a}} {
		for _, t := range pair[0].Datasets {
			if !has(pair[1], t.Dataset) {
				return protocol.Invalid("dataset %q has scores of model %q but not of model %q; score both on it", t.Dataset, pair[0].Name, pair[1].Name)
			}
		}
	}
	return nil
}

// comparison is the state of a comparison. In pairs, the first element is for a being worse, and the second for b.
type comparison struct {
	a, b     Side
	datasets []spread // by the dataset's position
	buckets  [bucketCount]spread
	unit     int64 // the current document, or its cluster
	literals *literals
	parts    cutParts
	cuts     *literals               // the parts that are cut differently
	tested   statistics.Distribution // the p-values of the literals that are not too small
	sample   documentSample          // of documents
	counter  *counter                // adds to literals while documents are compared
	segments int64
	before   documentID // the document before the current one
	cluster  string     // its cluster, if it names one
	named    []bool     // by the dataset's position: whether its documents name their clusters

	topDocuments [2]top[Document]
	topSegments  [2]top[Segment]
	documents    *artifact.TableFile[DocumentRow]

	unscored Bytes
	zeroLoss Bytes

	excluded []span // reused by exclude
	visit    visit  // reused by document
}

// documentID identifies a document of the comparison.
type documentID struct {
	dataset int
	artifact.RowID
}

// run joins the two sides on dataset, shard and row.
func (c *comparison) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	var large sync.Mutex
	a, b := newStream(ctx, c.a, &large), newStream(ctx, c.b, &large)
	defer func() {
		cancel()
		a.stop()
		b.stop()
	}()
	c.counter = newCounter(c.literals, c.cuts)
	defer func() { err = errors.Join(err, c.counter.close()) }()
	c.before = documentID{dataset: -1}
	row := int64(0)
	for {
		x, i, err := a.peek()
		if err != nil {
			return err
		}
		y, j, err := b.peek()
		if err != nil {
			return err
		}
		if x == nil && y == nil {
			return nil
		}
		if err := c.match(x, y, i, j); err != nil {
			return err
		}
		if i != c.before.dataset {
			row = 0
		}
		if err := c.document(x, y, i, row); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		a.advance()
		b.advance()
		row++
	}
}

// match checks that two records of datasets i and j, one of which may be missing, are of the same document. It also
// checks that the document differs from the previous one.
func (c *comparison) match(x, y *record, i, j int) error {
	order := 0
	switch {
	case x == nil:
		order = 1
	case y == nil:
		order = -1
	default:
		order = cmp.Or(cmp.Compare(i, j), c.a.Datasets[i].compare(&x.ScoredDocument, &y.ScoredDocument))
	}
	has, lacks := c.a.Name, c.b.Name
	if order > 0 {
		x, i, has, lacks = y, j, lacks, has
	}
	switch again := c.before == (documentID{i, artifact.RowID{Shard: x.Shard, Row: x.Row}}); {
	case order != 0 && again:
		return c.fault(x, "duplicate row in the scores of model %q", has)
	case order != 0:
		return c.fault(x, "the scores of model %q have this row, but those of model %q do not; score both on the same documents", has, lacks)
	case again:
		return c.fault(x, "duplicate row in the scores of models %q and %q", c.a.Name, c.b.Name)
	}
	return c.same(x, y)
}

func (c *comparison) fault(r *record, format string, args ...any) error {
	return protocol.Invalid("dataset %q, shard %q, row %d: %s", r.dataset, r.Shard, r.Row, fmt.Sprintf(format, args...))
}

// same checks that two records describe the same document.
func (c *comparison) same(x, y *record) error {
	if x.Text != y.Text {
		n := 0
		for n < min(len(x.Text), len(y.Text)) && x.Text[n] == y.Text[n] {
			n++
		}
		return c.fault(x, "the texts differ: %d bytes for model %q and %d for %q, different from byte %d on; score both on the same data",
			len(x.Text), c.a.Name, len(y.Text), c.b.Name, n)
	}
	if x.Cluster != y.Cluster && x.Cluster != "" && y.Cluster != "" {
		return c.fault(x, "the clusters differ: %.200q for model %q and %.200q for %q; score both on the same data", x.Cluster, c.a.Name, y.Cluster, c.b.Name)
	}
	if x.ScoreStart != y.ScoreStart || x.ScoreEnd != y.ScoreEnd {
		return c.fault(x, "the scored spans differ: [%d, %d) for model %q and [%d, %d) for %q", x.ScoreStart, x.ScoreEnd,
			c.a.Name, y.ScoreStart, y.ScoreEnd, c.b.Name)
	}
	return nil
}

// parents yields the part of a name before each "/". Empty components count.
func parents(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range len(name) {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}

// groups returns the groups of the datasets by their names and by their tags on either side.
func (c *comparison) groups() []Group {
	var names []string
	var tags [][]string
	for i, dataset := range c.a.Datasets {
		names, tags = append(names, dataset.Dataset), append(tags, slices.Concat(dataset.Tags, c.b.Datasets[i].Tags))
	}
	return Groups(names, tags)
}

// sameUnit reports whether a document belongs to the unit of the one before.
func (c *comparison) sameUnit(dataset int, shard, cluster string) bool {
	if dataset != c.before.dataset {
		return false
	}
	if cluster != "" {
		return cluster == c.cluster
	}
	return c.a.Datasets[dataset].Clustered && shard == c.before.Shard
}

// document adds a document that both sides scored; row is its position in its dataset's tables.
func (c *comparison) document(x, y *record, dataset int, row int64) error {
	cluster := cmp.Or(x.Cluster, y.Cluster)
	if !c.sameUnit(dataset, x.Shard, cluster) {
		c.unit++
	}
	c.before, c.cluster = documentID{dataset, artifact.RowID{Shard: x.Shard, Row: x.Row}}, cluster
	c.named[dataset] = c.named[dataset] || cluster != ""
	excluded, without := c.exclude(x, y)
	whole := aggregate{bytes: int64(x.ScoreEnd-x.ScoreStart) - without, count: 1}
	v := &c.visit
	if whole.bytes > 0 {
		whole.lossA, whole.lossB = v.run(c, x, y, excluded, place{dataset: int32(dataset), row: row})
	}
	c.datasets[dataset].add(c.unit, whole.lossA, whole.lossB, whole.bytes, 1)
	total := whole.row("")
	if whole.bytes > 0 {
		v.cuts.finish(c, whole.bytes)
		c.sample.add(total.DeltaBits, whole.bytes)
	}
	out := DocumentRow{
		Dataset: x.dataset, Shard: x.Shard, Row: x.Row, Bytes: whole.bytes, ScoreStart: x.ScoreStart, ScoreEnd: x.ScoreEnd,
		ABPB: total.ABPB, BBPB: total.BBPB, GapBPB: total.GapBPB, DeltaBits: total.DeltaBits,
	}
	if out.DeltaBits != 0 {
		c.worst(&out, x.Text, &v.worst[directionOf(out.DeltaBits)])
	}
	return c.documents.Write(&out)
}

// worst sets a document's worst segment, and adds the document to the list if it is one of the worst.
func (c *comparison) worst(out *DocumentRow, text string, of *worstSegment) {
	if of.deltaBits != 0 {
		name, quoted := bucketNames[of.bucket], visible(shorten(text[of.textStart:of.textEnd], segmentLimit))
		bpb := of.deltaBits / float64(of.bytes)
		start, end := of.start, of.end
		out.WorstBucket, out.WorstText, out.WorstGapBPB, out.WorstStart, out.WorstEnd = &name, &quoted, &bpb, &start, &end
	}
	c.topDocuments[directionOf(out.DeltaBits)].add(math.Abs(out.DeltaBits), func() Document {
		if of.deltaBits != 0 {
			return Document{*out, preview(text, of.textStart, of.textEnd)}
		}
		return Document{*out, visible(shorten(text, previewLimit))}
	})
}

// visit is the state of a document that is being compared: its segments are found while its losses are read.
type visit struct {
	c        *comparison
	x        *record
	place    place
	excluded []span
	walk     walk
	worst    [2]worstSegment
	cuts     cutVisit

	from       int     // where the next segment starts
	segment    segment // the current one; its start is its end after the last
	sumA, sumB float64 // the running sums of the losses before it
}

// run compares a document with scored bytes. It returns the document's total losses and adds everything else.
func (v *visit) run(c *comparison, x, y *record, excluded []span, at place) (a, b float64) {
	v.c, v.x, v.place, v.excluded, v.worst, v.from, v.segment = c, x, at, excluded, [2]worstSegment{}, 0, segment{}
	w := &v.walk
	w.a, w.b = newLosses(&x.ScoredDocument, excluded), newLosses(&y.ScoredDocument, excluded)
	w.excluded, w.zeroLoss, w.from, w.at, w.sumsA[0], w.sumsB[0] = excluded, Bytes{}, 0, 0, 0, 0
	w.skip(x.ScoreStart)
	v.sumA, v.sumB = w.sumsA[w.at-w.from], w.sumsB[w.at-w.from]
	v.next()
	v.cuts.begin(x, y, excluded, v.sumA, v.sumB)
	a, b = w.sum(int(x.ScoreEnd-x.ScoreStart), v.block)
	c.zeroLoss.add(w.zeroLoss)
	v.x, w.a, w.b, v.cuts.a, v.cuts.b = nil, losses{}, losses{}, boundaries{}, boundaries{} // they refer to the documents, as do the segments to be counted
	if len(x.Text) >= largeBytes {
		c.counter.flush()
	}
	return a, b
}

// next finds the next segment that has bytes in the scored span.
func (v *visit) next() {
	segments := segmenter{v.x.Text}
	start, end := v.x.ScoreStart, v.x.ScoreEnd
	for v.from < int(end) {
		from := v.from
		to, kind := segments.next(from)
		v.from = to
		first, last := max(int32(from), start), min(int32(to), end)
		if first < last {
			v.segment = segment{start: first, end: last, kind: kind, clipped: int(first) != from || int(last) != to}
			return
		}
	}
	v.segment = segment{start: end, end: end}
}

// block adds the segments that end in the walk's current block.
func (v *visit) block() {
	for s := &v.segment; s.start < s.end && s.end <= v.walk.at; v.next() {
		sumA, sumB := v.walk.sumsA[s.end-v.walk.from], v.walk.sumsB[s.end-v.walk.from]
		s.lossA, s.lossB, s.bytes = sumA-v.sumA, sumB-v.sumB, scoredBytes(&v.excluded, s.start, s.end)
		v.sumA, v.sumB = sumA, sumB
		v.place.start, v.place.end = s.start, s.end
		v.c.segment(v.x, *s, v.place, &v.worst)
	}
	v.cut()
}

// directionOf returns 0 where a is worse and 1 where b is.
func directionOf(deltaBits float64) int {
	if deltaBits < 0 {
		return 1
	}
	return 0
}

// segment is the bytes [start, end) of a text: a segment, or the part of one that is inside the scored span.
type segment struct {
	start, end   int32
	kind         segmentKind
	clipped      bool
	lossA, lossB float64
	bytes        int64 // scored bytes
}

type worstSegment struct {
	deltaBits          float64
	start, end         int32 // the bytes that differ
	textStart, textEnd int   // widened to whole characters
	bytes              int64
	bucket             bucket
}

// segment adds a segment.
func (c *comparison) segment(x *record, s segment, at place, worst *[2]worstSegment) {
	text := x.Text
	// A character that crosses the boundary of the span belongs to the part before the boundary.
	textStart, textEnd := int(s.start), int(s.end)
	if s.clipped {
		textStart, textEnd = nextBoundary(text, textStart), nextBoundary(text, textEnd)
	}
	if textStart == textEnd || s.bytes == 0 {
		return
	}
	piece := text[textStart:textEnd]
	var in bucket
	if s.clipped {
		in = clippedBucket(piece)
	} else {
		in = bucketOf(piece, s.kind)
	}
	delta := (s.lossA - s.lossB) * math.Log2E
	c.buckets[in].add(c.unit, s.lossA, s.lossB, s.bytes, 1)
	c.segments++
	if s.end-s.start <= literalBytes {
		c.counter.add(occurrence{bucket: in, text: piece, lossA: s.lossA, lossB: s.lossB, bytes: s.bytes, order: c.segments, unit: c.unit, place: at})
	}
	if delta == 0 {
		return
	}
	direction := directionOf(delta)
	if w := &worst[direction]; math.Abs(delta) > math.Abs(w.deltaBits) {
		*w = worstSegment{delta, s.start, s.end, textStart, textEnd, s.bytes, in}
	}
	c.topSegments[direction].add(math.Abs(delta), func() Segment {
		return Segment{
			Dataset: x.dataset, Bucket: bucketNames[in], Bytes: s.bytes, DeltaBits: delta, GapBPB: delta / float64(s.bytes),
			Text: visible(shorten(piece, segmentLimit)), Preview: preview(text, textStart, textEnd),
			Shard: x.Shard, Row: x.Row, Start: s.start, End: s.end,
		}
	})
}

// nextBoundary returns the first character boundary at or after byte i.
func nextBoundary(text string, i int) int {
	for i < len(text) && !utf8.RuneStart(text[i]) {
		i++
	}
	return i
}

// exclude returns the bytes of the scored span without a loss on either side, in order and disjoint, and their number.
// They are excluded from the sums and counts of both sides. The spans are valid until the next call.
func (c *comparison) exclude(x, y *record) (spans []span, bytes int64) {
	all := c.excluded[:0]
	for side, r := range []*record{x, y} {
		own := []*int64{&c.unscored.A, &c.unscored.B}[side]
		for i, start := range r.UnscoredStarts {
			s := span{max(start, x.ScoreStart), min(r.UnscoredEnds[i], x.ScoreEnd)}
			if s.start < s.end {
				all = append(all, s)
				*own += int64(s.end - s.start)
			}
		}
	}
	c.excluded = all
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	spans = all[:0]
	for _, s := range all {
		if n := len(spans); n > 0 && s.start <= spans[n-1].end {
			spans[n-1].end = max(spans[n-1].end, s.end)
		} else {
			spans = append(spans, s)
		}
	}
	for _, s := range spans {
		bytes += int64(s.end - s.start)
	}
	c.unscored.Either += bytes
	return spans, bytes
}
