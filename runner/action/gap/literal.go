package gap

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"surprisal.dev/runner/statistics"
)

// literalBytes is the maximum size of a literal.
const literalBytes = 32

// spillFiles is the number of files for the occurrences that do not fit in memory.
const spillFiles = 16

// occurrence is one segment: its text, losses and place.
type occurrence struct {
	bucket       bucket
	text         string
	cuts         uint64 // where tokenizers cut the text; 0 for a segment
	lossA, lossB float64
	bytes        int64 // scored bytes
	order        int64 // counts segments over the whole comparison
	unit         int64 // the document, or its cluster
	place        place
}

// place is the place of a segment: the dataset's position among the sorted datasets, the document's row in its table,
// and the bytes of its text.
type place struct {
	dataset    int32
	row        int64
	start, end int32
}

// literal is the sum over all occurrences of one text in one bucket.
type literal struct {
	bucket bucket
	late   bool // whether earlier occurrences may have been forgotten
	text   string
	cuts   uint64
	paired
	order   int64   // of the first occurrence
	extreme float64 // the largest |delta bits| of one occurrence
	example place   // the place of that occurrence, the first if several are equal
}

// literals sums losses by literal in bounded memory, with the same result as a single map of all literals. The first
// literals are kept in a map. Every occurrence of another literal is written, in order, to a file chosen by its hash,
// and each file is then counted in the same way. All occurrences of a literal take the same path and are added in their
// original order, so that no sum depends on the size of the map.
type literals struct {
	limit int
	dir   string
	// forgets drops literals with small differences so far when the map is full, instead of writing to files. forgot is true
	// after that.
	forgets, forgot bool
	seed            maphash.Seed
	// slots is a hash table with linear probing, whose size is a power of 2: positions in held, plus 1.
	slots []int32
	// single holds the position, plus 1, of literals of one ASCII character. Most segments are such literals, and the
	// character determines the bucket.
	single [utf8.RuneSelf]int32
	// held are the literals, in blocks, because a slice that grows would need twice the memory.
	held   []*[literalBlock]literal
	count  int
	hashes []uint64 // of the literals held
	files  []*os.File
	spill  []*bufio.Writer
	record []byte // reused by put
}

// literalBlock is the number of literals of a block.
const literalBlock = 1 << 9

// at returns a literal by its position.
func (l *literals) at(i int32) *literal { return &l.held[i/literalBlock][i%literalBlock] }

func newLiterals(dir string, limit int) *literals {
	return &literals{limit: limit, dir: dir, seed: maphash.MakeSeed()}
}

func (l *literals) add(o *occurrence) error {
	hash := uint64(0)
	single := len(o.text) == 1 && o.text[0] < utf8.RuneSelf
	if !single {
		hash = maphash.String(l.seed, o.text) ^ o.cuts*0x9e3779b97f4a7c15
	}
	held := l.find(o, hash, single)
	if held == nil {
		return l.put(o, hash)
	}
	held.add(o.unit, o.lossA, o.lossB, o.bytes, 1)
	if extreme := math.Abs((o.lossA - o.lossB) * math.Log2E); extreme > held.extreme {
		held.extreme, held.example = extreme, o.place
	}
	return nil
}

// find returns the sum of an occurrence's literal, or nil if the map is full.
func (l *literals) find(o *occurrence, hash uint64, single bool) *literal {
	var slot *int32
	if single {
		slot = &l.single[o.text[0]]
	} else {
		slot = l.slot(o, hash)
	}
	if *slot > 0 {
		return l.at(*slot - 1)
	}
	if l.count >= l.limit {
		if !l.forgets {
			return nil
		}
		l.forget()
		return l.find(o, hash, single)
	}
	if l.count == len(l.held)*literalBlock {
		l.held = append(l.held, new([literalBlock]literal))
	}
	held := l.at(int32(l.count))
	*held = literal{bucket: o.bucket, text: strings.Clone(o.text), cuts: o.cuts, late: l.forgot, order: o.order, extreme: -1}
	l.hashes = append(l.hashes, hash)
	l.count++
	*slot = int32(l.count)
	if !single && 2*l.count > len(l.slots) {
		l.grow()
	}
	return held
}

// sampledForgetting is one in how many literals decides which ones forget drops.
const sampledForgetting = 16

// forget drops about three quarters of the literals, those with the smallest differences so far.
func (l *literals) forget() {
	var sizes []float64
	for i := 0; i < l.count; i += sampledForgetting {
		sizes = append(sizes, math.Abs(l.at(int32(i)).deltaBits()))
	}
	slices.Sort(sizes)
	least := sizes[len(sizes)*3/4]
	kept := make([]int32, 0, l.count)
	for i := range l.count {
		if math.Abs(l.at(int32(i)).deltaBits()) > least {
			kept = append(kept, int32(i))
		}
	}
	kept = kept[:min(len(kept), l.limit/2)]
	clear(l.slots)
	l.single, l.forgot = [utf8.RuneSelf]int32{}, true
	for to, from := range kept {
		*l.at(int32(to)), l.hashes[to] = *l.at(from), l.hashes[from]
	}
	for i := len(kept); i < l.count; i++ {
		*l.at(int32(i)) = literal{} // frees its text
	}
	l.count, l.hashes = len(kept), l.hashes[:len(kept)]
	for i := range kept {
		l.insert(int32(i))
	}
}

// insert adds a literal to the hash table.
func (l *literals) insert(at int32) {
	if text := l.at(at).text; len(text) == 1 && text[0] < utf8.RuneSelf {
		l.single[text[0]] = at + 1
		return
	}
	i := l.hashes[at]
	for l.slots[i&uint64(len(l.slots)-1)] != 0 {
		i++
	}
	l.slots[i&uint64(len(l.slots)-1)] = at + 1
}

// slot returns the slot of an occurrence's literal in the hash table.
func (l *literals) slot(o *occurrence, hash uint64) *int32 {
	if len(l.slots) == 0 {
		l.slots = make([]int32, 1<<10)
	}
	for i := hash; ; i++ {
		slot := &l.slots[i&uint64(len(l.slots)-1)]
		if *slot == 0 {
			return slot
		}
		at := *slot - 1
		if held := l.at(at); l.hashes[at] == hash && held.text == o.text && held.bucket == o.bucket && held.cuts == o.cuts {
			return slot
		}
	}
}

// grow doubles the hash table.
func (l *literals) grow() {
	l.slots = make([]int32, 2*len(l.slots))
	for n := range l.count {
		l.insert(int32(n))
	}
}

// spilledBytes is the size of an occurrence in a file, without its text and three bytes before that.
const spilledBytes = 60

// put appends an occurrence to its spill file.
func (l *literals) put(o *occurrence, hash uint64) error {
	if l.files == nil {
		for range spillFiles {
			f, err := os.CreateTemp(l.dir, "literals-*")
			if err != nil {
				return errors.Join(err, l.close())
			}
			l.files = append(l.files, f)
			l.spill = append(l.spill, bufio.NewWriterSize(f, 32<<10))
		}
	}
	w := l.spill[hash%spillFiles]
	b := l.record[:0]
	b = append(b, byte(o.bucket), byte(len(o.text)), byte(o.bytes))
	b = append(b, o.text...)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(o.lossA))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(o.lossB))
	b = binary.LittleEndian.AppendUint64(b, uint64(o.order))
	b = binary.LittleEndian.AppendUint64(b, uint64(o.unit))
	b = binary.LittleEndian.AppendUint64(b, uint64(o.place.row))
	b = binary.LittleEndian.AppendUint32(b, uint32(o.place.dataset))
	b = binary.LittleEndian.AppendUint32(b, uint32(o.place.start))
	b = binary.LittleEndian.AppendUint32(b, uint32(o.place.end))
	b = binary.LittleEndian.AppendUint64(b, o.cuts)
	l.record = b
	_, err := w.Write(b)
	return err
}

// each calls visit with every literal's sum, in no particular order. Nothing can be added afterwards.
func (l *literals) each(visit func(*literal)) error {
	for i := range l.count {
		held := l.at(int32(i))
		held.end()
		visit(held)
	}
	l.held, l.count, l.hashes, l.slots, l.single = nil, 0, nil, nil, [utf8.RuneSelf]int32{}
	for i, file := range l.files {
		if err := l.spill[i].Flush(); err != nil {
			return err
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := l.eachSpilled(file, visit); err != nil {
			return err
		}
	}
	return nil
}

func (l *literals) eachSpilled(file *os.File, visit func(*literal)) (err error) {
	part := newLiterals(l.dir, l.limit)
	defer func() { err = errors.Join(err, part.close()) }()
	in := bufio.NewReaderSize(file, 64<<10)
	var head [3]byte
	var rest [spilledBytes + 255]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err == io.EOF {
			return part.each(visit)
		} else if err != nil {
			return err
		}
		n := int(head[1])
		if _, err := io.ReadFull(in, rest[:n+spilledBytes]); err != nil {
			return err
		}
		b := rest[n:]
		word := binary.LittleEndian.Uint64
		o := occurrence{
			bucket: bucket(head[0]), text: string(rest[:n]), bytes: int64(head[2]),
			lossA: math.Float64frombits(word(b)), lossB: math.Float64frombits(word(b[8:])), order: int64(word(b[16:])),
			unit: int64(word(b[24:])), cuts: word(b[52:]),
			place: place{
				row:     int64(word(b[32:])),
				dataset: int32(binary.LittleEndian.Uint32(b[40:])),
				start:   int32(binary.LittleEndian.Uint32(b[44:])), end: int32(binary.LittleEndian.Uint32(b[48:])),
			},
		}
		if err := part.add(&o); err != nil {
			return err
		}
	}
}

// close removes the spill files.
func (l *literals) close() error {
	var errs []error
	for _, f := range l.files {
		errs = append(errs, f.Close(), os.Remove(f.Name()))
	}
	l.files, l.spill = nil, nil
	return errors.Join(errs...)
}

// top returns up to limit literals with the largest positive difference, and up to limit with the largest negative one.
// The largest come first, and equal ones in the order of their first occurrence. It also returns the p-values of all
// literals that are not too small.
func (l *literals) top(limit int) (positive, negative []literal, p statistics.Sample, err error) {
	keep := func(list []literal, item *literal) []literal {
		before := func(a, b literal) int {
			return cmp.Or(cmp.Compare(math.Abs(b.deltaBits()), math.Abs(a.deltaBits())), cmp.Compare(a.order, b.order))
		}
		at, _ := slices.BinarySearchFunc(list, *item, before)
		if at == limit {
			return list
		}
		list = slices.Insert(list, at, *item)
		return list[:min(len(list), limit)]
	}
	err = l.each(func(item *literal) {
		if item.units.Units >= leastUnits && item.bytes >= leastBytes {
			if e, ok := item.units.Estimate(); ok {
				p.Add(e.P, 0)
			}
		}
		switch delta := item.deltaBits(); {
		case delta > 0:
			positive = keep(positive, item)
		case delta < 0:
			negative = keep(negative, item)
		}
	})
	return positive, negative, p, err
}
