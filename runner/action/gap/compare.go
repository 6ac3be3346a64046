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
	// Key is the dataset's name, and that of every row.
	Key        string
	ScoredPath string
	// LedgerPath is empty where no ledger was kept: then every byte of a span counts as scored.
	LedgerPath string
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
	segments int64 // segments so far

	topDocuments [2]top[Document]
	topSegments  [2]top[Segment]
	documents    *tableFile[DocumentRow]

	unscored Bytes
	free     Bytes

	prefixA, prefixB []float64
	prefixScored     []int32 // scored bytes before each byte; empty where all are
	excluded         []span
	tags             []string // registered last, of dataset tagged
	tagged           int
}

type span struct{ start, end int32 }

// run joins the two sides on their keys.
func (c *comparison) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	a, b := newStream(ctx, c.a), newStream(ctx, c.b)
	defer func() {
		cancel()
		a.stop()
		b.stop()
	}()
	for i, dataset := range c.a.Datasets {
		c.group(dataset.Key, i)
		for prefix := range prefixes(dataset.Key) {
			c.group(prefix, i)
		}
	}
	c.tagged = -1
	type key struct {
		dataset int
		artifact.Key
	}
	before := key{dataset: -1}
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
		order := 0
		switch {
		case x == nil:
			order = 1
		case y == nil:
			order = -1
		default:
			order = cmp.Or(cmp.Compare(i, j), artifact.CompareKeys(x.Shard, x.Row, y.Shard, y.Row))
		}
		if order != 0 {
			has, lacks := c.a.Name, c.b.Name
			if order > 0 {
				x, i, has, lacks = y, j, lacks, has
			}
			if before == (key{i, artifact.Key{Shard: x.Shard, Row: x.Row}}) {
				return c.fault(x, "found twice in the scores of model %q, wanted once", has)
			}
			return c.fault(x, "found in the scores of model %q, not in those of model %q; score both on the same documents", has, lacks)
		}
		now := key{i, artifact.Key{Shard: x.Shard, Row: x.Row}}
		if now == before {
			return c.fault(x, "found twice in the scores of models %q and %q, wanted once", c.a.Name, c.b.Name)
		}
		if now.dataset != before.dataset {
			row = 0
		}
		before = now
		if err := c.same(x, y); err != nil {
			return err
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

func (c *comparison) fault(r *record, format string, args ...any) error {
	return protocol.Invalid("dataset %q, shard %q, row %d: %s", r.Dataset, r.Shard, r.Row, fmt.Sprintf(format, args...))
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
	if !slices.Equal(x.Tags, y.Tags) {
		return c.fault(x, "found tags %q for model %q and %q for %q, wanted the same", x.Tags, c.a.Name, y.Tags, c.b.Name)
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

func (c *comparison) register(tags []string, dataset int) {
	if dataset == c.tagged && slices.Equal(tags, c.tags) {
		return
	}
	for _, tag := range tags {
		c.group(tag, dataset)
		for prefix := range prefixes(tag) {
			c.group(prefix, dataset)
		}
	}
	c.tags, c.tagged = slices.Clone(tags), dataset
}

// document adds a document that both sides scored; row is its position in its dataset's tables.
func (c *comparison) document(x, y *record, dataset int, row int64) error {
	c.register(x.Tags, dataset)
	text, start, end := x.Text, int(x.ScoreStart), int(x.ScoreEnd)
	scored := int64(end-start) - c.exclude(x, y)
	lossesA, lossesB := x.PerByteLoss, y.PerByteLoss
	lossA, lossB := pairwise(lossesA[start:end]), pairwise(lossesB[start:end])
	c.datasets[dataset].add(lossA, lossB, scored, 1)
	whole := aggregate{lossA: lossA, lossB: lossB, bytes: scored, count: 1}
	total := whole.row("")
	out := DocumentRow{
		Dataset: x.Dataset, Shard: x.Shard, Row: x.Row, Bytes: scored, ScoreStart: x.ScoreStart, ScoreEnd: x.ScoreEnd,
		ABPB: total.ABPB, BBPB: total.BBPB, GapBPB: total.GapBPB, DeltaBits: total.DeltaBits,
	}
	if scored == 0 {
		return c.documents.write(&out)
	}
	c.running(lossesA, lossesB, start, end)

	var worst [2]worstSegment
	segments := segmenter{text}
	for from := 0; from < end; {
		to, kind := segments.next(from)
		first, last := max(from, start), min(to, end)
		clipped := first != from || last != to
		from = to
		if first >= last {
			continue
		}
		if err := c.segment(x, first, last, kind, clipped, place{int32(dataset), row, int32(first), int32(last)}, &worst); err != nil {
			return err
		}
	}

	direction := 0
	if total.DeltaBits < 0 {
		direction = 1
	}
	if w := &worst[direction]; w.deltaBits != 0 && total.DeltaBits != 0 {
		name, quoted, bpb := bucketNames[w.bucket], shorten(visible(text[w.textStart:w.textEnd]), segmentLimit), w.deltaBits/float64(w.bytes)
		from, to := int32(w.start), int32(w.end)
		out.WorstBucket, out.WorstText, out.WorstGapBPB, out.WorstStart, out.WorstEnd = &name, &quoted, &bpb, &from, &to
	}
	if total.DeltaBits != 0 {
		c.topDocuments[direction].add(math.Abs(total.DeltaBits), func() Document {
			if w := &worst[direction]; w.deltaBits != 0 {
				return Document{out, preview(text, w.textStart, w.textEnd)}
			}
			return Document{out, shorten(visible(text), previewLimit)}
		})
	}
	return c.documents.write(&out)
}

type worstSegment struct {
	deltaBits          float64
	start, end         int // the bytes that differ
	textStart, textEnd int // widened to whole characters
	bytes              int64
	bucket             bucket
}

// segment adds the bytes [start, end) of a segment.
func (c *comparison) segment(x *record, start, end int, kind segmentKind, clipped bool, at place, worst *[2]worstSegment) error {
	text := x.Text
	// Where the span cuts a character, the character belongs to what is before the cut.
	textStart, textEnd := start, end
	if clipped {
		textStart, textEnd = nextBoundary(text, start), nextBoundary(text, end)
		if textStart == textEnd {
			return nil
		}
	}
	bytes := int64(end - start)
	if len(c.prefixScored) > 0 {
		if bytes = int64(c.prefixScored[end] - c.prefixScored[start]); bytes == 0 {
			return nil
		}
	}
	piece := text[textStart:textEnd]
	var in bucket
	if clipped {
		in = clippedBucket(piece)
	} else {
		in = bucketOf(piece, kind)
	}
	lossA, lossB := c.prefixA[end]-c.prefixA[start], c.prefixB[end]-c.prefixB[start]
	delta := (lossA - lossB) * math.Log2E
	c.buckets[in].add(lossA, lossB, bytes, 1)
	c.segments++
	if end-start <= literalBytes {
		o := occurrence{bucket: in, text: piece, lossA: lossA, lossB: lossB, bytes: bytes, order: c.segments, place: at}
		if err := c.literals.add(&o); err != nil {
			return err
		}
	}
	if delta == 0 {
		return nil
	}
	direction := 0
	if delta < 0 {
		direction = 1
	}
	if w := &worst[direction]; math.Abs(delta) > math.Abs(w.deltaBits) {
		*w = worstSegment{delta, start, end, textStart, textEnd, bytes, in}
	}
	c.topSegments[direction].add(math.Abs(delta), func() Segment {
		return Segment{
			Dataset: x.Dataset, Bucket: bucketNames[in], Bytes: bytes, DeltaBits: delta, GapBPB: delta / float64(bytes),
			Text: shorten(visible(piece), segmentLimit), Preview: preview(text, textStart, textEnd),
			Shard: x.Shard, Row: x.Row, Start: int32(start), End: int32(end),
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

// exclude takes the bytes that either side has no loss for out of both sides, and returns how many of them lie in the
// scored span.
func (c *comparison) exclude(x, y *record) int64 {
	c.prefixScored = c.prefixScored[:0]
	if len(x.ledger.UnscoredStarts)+len(y.ledger.UnscoredStarts) == 0 {
		return 0
	}
	c.excluded = c.excluded[:0]
	for side, r := range []*record{x, y} {
		for i, start := range r.ledger.UnscoredStarts {
			s := span{max(start, x.ScoreStart), min(r.ledger.UnscoredEnds[i], x.ScoreEnd)}
			if s.start < s.end {
				c.excluded = append(c.excluded, s)
				*[]*int64{&c.unscored.A, &c.unscored.B}[side] += int64(s.end - s.start)
			}
		}
	}
	if len(c.excluded) == 0 {
		return 0
	}
	slices.SortFunc(c.excluded, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	count, covered, next, at := int64(0), int32(0), 0, int32(0)
	c.prefixScored = append(slices.Grow(c.prefixScored, len(x.Text)+1), 0)
	for i := int32(0); int(i) < len(x.Text); i++ {
		for next < len(c.excluded) && c.excluded[next].start <= i {
			covered = max(covered, c.excluded[next].end)
			next++
		}
		if i < covered {
			x.PerByteLoss[i], y.PerByteLoss[i] = 0, 0
			count++
		} else {
			at++
		}
		c.prefixScored = append(c.prefixScored, at)
	}
	c.unscored.Either += count
	return count
}

// running fills the running sums of both sides' losses up to byte end, and counts the bytes of the span that cost
// nothing.
func (c *comparison) running(lossesA, lossesB []float64, start, end int) {
	c.prefixA = slices.Grow(c.prefixA[:0], end+1)[:end+1]
	c.prefixB = slices.Grow(c.prefixB[:0], end+1)[:end+1]
	sumA, sumB := 0.0, 0.0
	c.prefixA[0], c.prefixB[0] = 0, 0
	prefixA, prefixB := c.prefixA[1:end+1], c.prefixB[1:end+1]
	lossesA, lossesB = lossesA[:end], lossesB[:end]
	for i := range prefixA {
		sumA += lossesA[i]
		sumB += lossesB[i]
		prefixA[i], prefixB[i] = sumA, sumB
	}
	for i := start; i < end; i++ {
		zeroA, zeroB := lossesA[i] == 0, lossesB[i] == 0
		if !zeroA && !zeroB || len(c.prefixScored) > 0 && c.prefixScored[i] == c.prefixScored[i+1] {
			continue
		}
		if zeroA {
			c.free.A++
		}
		if zeroB {
			c.free.B++
		}
		c.free.Either++
	}
}
