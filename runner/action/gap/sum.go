package gap

import (
	"math"

	"surprisal.dev/runner/statistics"
)

// aggregate is a sum over documents or segments: their losses in nats, scored bytes and number.
type aggregate struct {
	lossA, lossB float64
	bytes, count int64
}

func (g *aggregate) add(lossA, lossB float64, bytes, count int64) {
	g.lossA += lossA
	g.lossB += lossB
	g.bytes += bytes
	g.count += count
}

func (g *aggregate) deltaBits() float64 { return (g.lossA - g.lossB) * math.Log2E }

func (g *aggregate) row(name string) Row {
	row := Row{Name: name, Documents: g.count, Bytes: g.bytes, DeltaBits: g.deltaBits()}
	if g.bytes > 0 {
		n := float64(g.bytes)
		a, b, gap := g.lossA*math.Log2E/n, g.lossB*math.Log2E/n, row.DeltaBits/n
		row.ABPB, row.BBPB, row.GapBPB = &a, &b, &gap
	}
	return row
}

// paired is an aggregate that also knows how its units differ: documents, or clusters of documents.
type paired struct {
	aggregate
	units statistics.Sums
	// pending is the current unit, which is not in units yet.
	pending unit
}

// unit is what a unit adds to an aggregate: the bits of a minus those of b, and scored bytes.
type unit struct {
	id          int64
	bits, bytes float64
}

// add adds a part of a unit. The parts of a unit follow each other. It returns the unit before, which is complete if it
// has bytes.
func (s *paired) add(unitID int64, lossA, lossB float64, bytes, count int64) (before unit) {
	s.aggregate.add(lossA, lossB, bytes, count)
	if unitID != s.pending.id {
		before = s.end()
		s.pending.id = unitID
	}
	s.pending.bits += (lossA - lossB) * math.Log2E
	s.pending.bytes += float64(bytes)
	return before
}

// end ends the current unit and returns it.
func (s *paired) end() unit {
	ended := s.pending
	s.units.Add(ended.bits, ended.bytes)
	s.pending = unit{}
	return ended
}

// row returns the row of a table. The current unit has ended.
func (s *paired) row(name string) Row {
	row := s.aggregate.row(name)
	row.Units = s.units.Units
	if e, ok := s.units.Estimate(); ok {
		row.Error, row.Low, row.High, row.P = &e.Error, &e.Low, &e.High, &e.P
		row.Detectable, row.Effective = &e.Detectable, &e.Effective
	}
	return row
}

// spread is paired and counts the units on which a has fewer bits, and on which b has.
type spread struct {
	paired
	wonA, wonB int64
	// few are the bits of the units, for a test of fewer than fewUnits.
	few []float64
}

// fewUnits is the number of units from which rows have no test by signs.
const fewUnits = 200

// add is paired.add.
func (s *spread) add(unitID int64, lossA, lossB float64, bytes, count int64) {
	if before := s.paired.add(unitID, lossA, lossB, bytes, count); before.bytes > 0 {
		s.won(before)
	}
}

func (s *spread) won(u unit) {
	if u.bytes > 0 && len(s.few) < fewUnits {
		s.few = append(s.few, u.bits)
	}
	switch {
	case u.bits > 0:
		s.wonB++
	case u.bits < 0:
		s.wonA++
	}
}

// end ends the current unit.
func (s *spread) end() { s.won(s.paired.end()) }

// merge adds the units of another spread, which are different ones. Both have ended.
func (s *spread) merge(other *spread) {
	s.aggregate.add(other.lossA, other.lossB, other.bytes, other.count)
	s.units.Merge(other.units)
	s.few = append(s.few, other.few[:min(len(other.few), fewUnits-len(s.few))]...)
	s.wonA += other.wonA
	s.wonB += other.wonB
}

// row ends the current unit and returns the row of a table.
func (s *spread) row(name string) Row {
	s.end()
	row := s.paired.row(name)
	row.WonA, row.WonB = s.wonA, s.wonB
	if row.P != nil && len(s.few) < fewUnits {
		p := statistics.SignFlip(s.few)
		row.PSigns = &p
	}
	return row
}

// sumBlock is the maximum number of values that are summed at once.
const sumBlock = 128

// sumOf sums up to sumBlock values as NumPy does, with eight running sums.
func sumOf(x []float64) float64 {
	if len(x) < 8 {
		sum := 0.0
		for _, v := range x {
			sum += v
		}
		return sum
	}
	r := [8]float64(x)
	i := 8
	for ; i+8 <= len(x); i += 8 {
		for j, v := range [8]float64(x[i:]) {
			r[j] += v
		}
	}
	sum := ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
	for ; i < len(x); i++ {
		sum += x[i]
	}
	return sum
}

// top keeps the limit records with the largest score, and the earliest of equal ones.
type top[T any] struct {
	limit  int
	scores []float64
	rows   []T
}

// add adds a record if its score is large enough. It calls make only if the record is kept.
func (t *top[T]) add(score float64, make func() T) {
	n := len(t.scores)
	if n == t.limit {
		if !(score > t.scores[n-1]) {
			return
		}
		n--
		t.scores, t.rows = t.scores[:n], t.rows[:n]
	}
	at := n
	for at > 0 && score > t.scores[at-1] {
		at--
	}
	t.scores = append(t.scores, 0)
	copy(t.scores[at+1:], t.scores[at:])
	t.scores[at] = score
	row := make()
	t.rows = append(t.rows, row)
	copy(t.rows[at+1:], t.rows[at:])
	t.rows[at] = row
}
