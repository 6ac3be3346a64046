package gap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// Side is one model's scores.
type Side struct {
	// Name is the model's, for people.
	Name string
	// Protocol is how its documents were scored, a JSON object; nil if it is not known.
	Protocol []byte
	Datasets []Table
}

// Table is one model's scores on one dataset. Tables that are not in the order of their keys are sorted first.
type Table struct {
	// Key is the dataset's name, and Tags are its tags.
	Key        string
	Tags       []string
	ScoredPath string
}

// Options say how to compare.
type Options struct {
	// Force compares sides that were scored under different protocols; the report then says what differs.
	Force bool
	// Scratch is a folder for temporary files, which are gone when Compare returns. Empty means the system's.
	Scratch string

	literals int // the most literals in memory; 0 for maxLiterals
}

// Sizes of the report, which are Marin's.
const (
	topDocuments = 25
	topSegments  = 40
	topLiterals  = 40
)

// maxLiterals bounds the literals in memory, at about 200 bytes each.
const maxLiterals = 1 << 14

// Compare compares two sides and writes the report's files into the folder out: summary.json, report.md,
// worst_documents.jsonl, and datasets, groups, buckets, segments, literals and documents as .csv and .parquet. Equal input
// gives equal bytes. An error of kind InvalidInput says which dataset, shard and row cannot be compared and why; files
// written until then are incomplete.
func Compare(ctx context.Context, a, b Side, out string, options Options) (_ *Summary, err error) {
	differences, err := protocolDifferences(a, b)
	if err != nil {
		return nil, err
	}
	if len(differences) > 0 && !options.Force {
		return nil, protocol.Invalid("models %q and %q were scored under different protocols (%s); score both under one, or force the comparison",
			a.Name, b.Name, strings.Join(differences, "; "))
	}
	scratch, err := os.MkdirTemp(options.Scratch, "gap-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	for _, side := range []*Side{&a, &b} {
		side.Datasets = slices.SortedFunc(slices.Values(side.Datasets), func(x, y Table) int { return cmp.Compare(x.Key, y.Key) })
		if *side, err = sorted(ctx, *side, scratch); err != nil {
			return nil, err
		}
	}
	if err := sameDatasets(a, b); err != nil {
		return nil, err
	}
	documents, err := createTable[DocumentRow](out, "documents")
	if err != nil {
		return nil, err
	}
	defer documents.abandon()
	if options.literals == 0 {
		options.literals = maxLiterals
	}
	c := &comparison{
		a: a, b: b, datasets: make([]aggregate, len(a.Datasets)), groups: map[string]map[int]bool{}, documents: documents,
		literals: newLiterals(scratch, options.literals),
	}
	for _, t := range []*top[Document]{&c.topDocuments[0], &c.topDocuments[1]} {
		t.limit = topDocuments
	}
	for _, t := range []*top[Segment]{&c.topSegments[0], &c.topSegments[1]} {
		t.limit = topSegments
	}
	defer func() { err = errors.Join(err, c.literals.close()) }()
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	if err := documents.close(); err != nil {
		return nil, err
	}
	summary, err := c.summary(differences)
	if err != nil {
		return nil, err
	}
	return summary, summary.write(out)
}

// sameDatasets refuses sides that do not cover the same datasets, each once.
func sameDatasets(a, b Side) error {
	for _, side := range []Side{a, b} {
		for i := 1; i < len(side.Datasets); i++ {
			if key := side.Datasets[i].Key; key == side.Datasets[i-1].Key {
				return protocol.Invalid("model %q: found dataset %q twice, wanted it once", side.Name, key)
			}
		}
	}
	has := func(side Side, key string) bool {
		return slices.ContainsFunc(side.Datasets, func(t Table) bool { return t.Key == key })
	}
	for _, pair := range [][2]Side{{a, b}, {b, a}} {
		for _, t := range pair[0].Datasets {
			if !has(pair[1], t.Key) {
				return protocol.Invalid("dataset %q: found scores of model %q, none of model %q; score both on it", t.Key, pair[0].Name, pair[1].Name)
			}
		}
	}
	return nil
}

// comparison is the state of a comparison. Of pairs, the first is where a is worse, the second where b is.
type comparison struct {
	a, b     Side
	datasets []aggregate // by the dataset's position
	buckets  [bucketCount]aggregate
	groups   map[string]map[int]bool // the datasets in each group
	literals *literals
	segments int64

	topDocuments [2]top[Document]
	topSegments  [2]top[Segment]
	documents    *tableFile[DocumentRow]

	unscored Bytes
	zeroLoss Bytes

	excluded []span // exclude's own, kept to be used again
}

// documentKey names a document of the comparison.
type documentKey struct {
	dataset int
	artifact.Key
}

// run joins the two sides on their keys.
func (c *comparison) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	a, b := newStream(ctx, c.a), newStream(ctx, c.b)
	defer func() {
		cancel()
		a.stop()
		b.stop()
	}()
	c.registerGroups()
	before := documentKey{dataset: -1}
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
		if err := c.match(x, y, i, j, before); err != nil {
			return err
		}
		if i != before.dataset {
			row = 0
		}
		before = documentKey{i, artifact.Key{Shard: x.Shard, Row: x.Row}}
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

// match refuses two records, of datasets i and j and of which one may be missing, that are not of one document, and a
// document with the key of the one before.
func (c *comparison) match(x, y *record, i, j int, before documentKey) error {
	order := 0
	switch {
	case x == nil:
		order = 1
	case y == nil:
		order = -1
	default:
		order = cmp.Or(cmp.Compare(i, j), artifact.CompareKeys(x.Shard, x.Row, y.Shard, y.Row))
	}
	has, lacks := c.a.Name, c.b.Name
	if order > 0 {
		x, i, has, lacks = y, j, lacks, has
	}
	switch again := before == (documentKey{i, artifact.Key{Shard: x.Shard, Row: x.Row}}); {
	case order != 0 && again:
		return c.fault(x, "found twice in the scores of model %q, wanted once", has)
	case order != 0:
		return c.fault(x, "found in the scores of model %q, not in those of model %q; score both on the same documents", has, lacks)
	case again:
		return c.fault(x, "found twice in the scores of models %q and %q, wanted once", c.a.Name, c.b.Name)
	}
	return c.same(x, y)
}

func (c *comparison) fault(r *record, format string, args ...any) error {
	return protocol.Invalid("dataset %q, shard %q, row %d: %s", r.dataset, r.Shard, r.Row, fmt.Sprintf(format, args...))
}

// same refuses two records that do not describe one document.
func (c *comparison) same(x, y *record) error {
	if x.Text != y.Text {
		n := 0
		for n < min(len(x.Text), len(y.Text)) && x.Text[n] == y.Text[n] {
			n++
		}
		return c.fault(x, "found different texts, of %d bytes for model %q and %d for %q, that differ from byte %d; score both on the same data",
			len(x.Text), c.a.Name, len(y.Text), c.b.Name, n)
	}
	if x.ScoreStart != y.ScoreStart || x.ScoreEnd != y.ScoreEnd {
		return c.fault(x, "found scored span [%d, %d) for model %q and [%d, %d) for %q, wanted one span", x.ScoreStart, x.ScoreEnd,
			c.a.Name, y.ScoreStart, y.ScoreEnd, c.b.Name)
	}
	return nil
}

// prefixes yields what stands before each "/" of a name; empty parts count.
func prefixes(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range len(name) {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}

func (c *comparison) group(name string, dataset int) {
	members := c.groups[name]
	if members == nil {
		members = map[int]bool{}
		c.groups[strings.Clone(name)] = members
	}
	members[dataset] = true
}

// registerGroups puts each dataset into the groups of its key and of its tags on either side.
func (c *comparison) registerGroups() {
	for i, dataset := range c.a.Datasets {
		for _, name := range slices.Concat([]string{dataset.Key}, dataset.Tags, c.b.Datasets[i].Tags) {
			c.group(name, i)
			for prefix := range prefixes(name) {
				c.group(prefix, i)
			}
		}
	}
}

// document adds a document that both sides scored; row is its position in its dataset's tables.
func (c *comparison) document(x, y *record, dataset int, row int64) error {
	start, end := x.ScoreStart, x.ScoreEnd
	excluded, without := c.exclude(x, y)
	var totals [2]float64
	for i, r := range []*record{x, y} {
		l := newLosses(&r.ScoredDocument, excluded)
		l.skip(start)
		totals[i] = l.sum(int(end - start))
	}
	whole := aggregate{lossA: totals[0], lossB: totals[1], bytes: int64(end-start) - without, count: 1}
	c.datasets[dataset].add(whole.lossA, whole.lossB, whole.bytes, 1)
	total := whole.row("")
	out := DocumentRow{
		Dataset: x.dataset, Shard: x.Shard, Row: x.Row, Bytes: whole.bytes, ScoreStart: start, ScoreEnd: end,
		ABPB: total.ABPB, BBPB: total.BBPB, GapBPB: total.GapBPB, DeltaBits: total.DeltaBits,
	}
	if whole.bytes > 0 {
		w := &walk{a: newLosses(&x.ScoredDocument, excluded), b: newLosses(&y.ScoredDocument, excluded)}
		if err := c.documentSegments(x, w, dataset, row, &out); err != nil {
			return err
		}
	}
	return c.documents.write(&out)
}

// documentSegments adds the segments of a document that has scored bytes, and sets its worst one.
func (c *comparison) documentSegments(x *record, w *walk, dataset int, row int64, out *DocumentRow) error {
	text, start, end := x.Text, x.ScoreStart, x.ScoreEnd
	w.advance(start)
	w.zeroLoss = Bytes{}
	var worst [2]worstSegment
	segments := segmenter{text}
	for from := 0; from < int(end); {
		to, kind := segments.next(from)
		first, last := max(int32(from), start), min(int32(to), end)
		clipped := int(first) != from || int(last) != to
		from = to
		if first >= last {
			continue
		}
		sumA, sumB, scored := w.sumA, w.sumB, w.scored
		w.advance(last)
		s := segment{
			start: first, end: last, kind: kind, clipped: clipped,
			lossA: w.sumA - sumA, lossB: w.sumB - sumB, bytes: w.scored - scored,
		}
		if err := c.segment(x, s, place{int32(dataset), row, first, last}, &worst); err != nil {
			return err
		}
	}
	c.zeroLoss.add(w.zeroLoss)
	if out.DeltaBits == 0 {
		return nil
	}
	direction := directionOf(out.DeltaBits)
	worstOne := &worst[direction]
	if worstOne.deltaBits != 0 {
		name, quoted := bucketNames[worstOne.bucket], shorten(visible(text[worstOne.textStart:worstOne.textEnd]), segmentLimit)
		bpb := worstOne.deltaBits / float64(worstOne.bytes)
		out.WorstBucket, out.WorstText, out.WorstGapBPB, out.WorstStart, out.WorstEnd = &name, &quoted, &bpb, &worstOne.start, &worstOne.end
	}
	c.topDocuments[direction].add(math.Abs(out.DeltaBits), func() Document {
		if worstOne.deltaBits != 0 {
			return Document{*out, preview(text, worstOne.textStart, worstOne.textEnd)}
		}
		return Document{*out, shorten(visible(text), previewLimit)}
	})
	return nil
}

// directionOf returns 0 where a is worse and 1 where b is.
func directionOf(deltaBits float64) int {
	if deltaBits < 0 {
		return 1
	}
	return 0
}

// segment is the bytes [start, end) of a text: a segment, or what the scored span leaves of one.
type segment struct {
	start, end   int32
	kind         segmentKind
	clipped      bool
	lossA, lossB float64
	bytes        int64 // scored ones
}

type worstSegment struct {
	deltaBits          float64
	start, end         int32 // the bytes that differ
	textStart, textEnd int   // widened to whole characters
	bytes              int64
	bucket             bucket
}

// segment adds a segment.
func (c *comparison) segment(x *record, s segment, at place, worst *[2]worstSegment) error {
	text := x.Text
	// Where the span cuts a character, the character belongs to what is before the cut.
	textStart, textEnd := int(s.start), int(s.end)
	if s.clipped {
		textStart, textEnd = nextBoundary(text, textStart), nextBoundary(text, textEnd)
	}
	if textStart == textEnd || s.bytes == 0 {
		return nil
	}
	piece := text[textStart:textEnd]
	var in bucket
	if s.clipped {
		in = clippedBucket(piece)
	} else {
		in = bucketOf(piece, s.kind)
	}
	delta := (s.lossA - s.lossB) * math.Log2E
	c.buckets[in].add(s.lossA, s.lossB, s.bytes, 1)
	c.segments++
	if s.end-s.start <= literalBytes {
		o := occurrence{bucket: in, text: piece, lossA: s.lossA, lossB: s.lossB, bytes: s.bytes, order: c.segments, place: at}
		if err := c.literals.add(&o); err != nil {
			return err
		}
	}
	if delta == 0 {
		return nil
	}
	direction := directionOf(delta)
	if w := &worst[direction]; math.Abs(delta) > math.Abs(w.deltaBits) {
		*w = worstSegment{delta, s.start, s.end, textStart, textEnd, s.bytes, in}
	}
	c.topSegments[direction].add(math.Abs(delta), func() Segment {
		return Segment{
			Dataset: x.dataset, Bucket: bucketNames[in], Bytes: s.bytes, DeltaBits: delta, GapBPB: delta / float64(s.bytes),
			Text: shorten(visible(piece), segmentLimit), Preview: preview(text, textStart, textEnd),
			Shard: x.Shard, Row: x.Row, Start: s.start, End: s.end,
		}
	})
	return nil
}

// nextBoundary returns the first character boundary at or after byte i.
func nextBoundary(text string, i int) int {
	for i < len(text) && !utf8.RuneStart(text[i]) {
		i++
	}
	return i
}

// exclude returns the bytes of the scored span that either side has no loss for, in order and disjoint, and how many
// they are. They leave both sides' sums and counts. The spans are valid until the next call.
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
