package store

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"slices"
	"sync"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sync/errgroup"
)

// generationName is an object of a bucket whose content changes when records or blobs are removed.
const generationName = "generation"

// readGeneration returns the current generation. It is "first" before the first removal.
func (s *Store) readGeneration(ctx context.Context) (string, error) {
	var generation string
	bad := func(where, found string) error { return fmt.Errorf("%s: is damaged: %s; delete it", where, found) }
	err := s.read(ctx, generationName, maxSmall, bad, func(data []byte) error {
		if !generationFormat.Match(data) {
			return fmt.Errorf("it contains %q", data)
		}
		generation = string(data)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "first", nil
	}
	return generation, err
}

var generationFormat = regexp.MustCompile(`^[0-9a-f]{16}$`)

// invalidateFacts invalidates the facts of all processes about a bucket. It must precede the removal.
func (s *Store) invalidateFacts(ctx context.Context) error {
	if s.b.local() != nil {
		return nil
	}
	return s.write(ctx, generationName, []byte(random()))
}

// facts are records of a bucket whose blobs all exist, in files of a cache. They are valid for one generation.
//
//	facts/<16 hex of the store's address>/<generation>/<16 hex>.cbor    entries of a head and a record in CBOR
//
// The head of an entry is the 32 bytes of the key, and then, as big-endian 32-bit numbers, the length of the record in
// bytes and the CRC-32C of key and record.
type facts struct {
	cache      *directory
	place      string // facts/<store>
	mu         sync.Mutex
	generation string
	segments   []*os.File
	where      map[rawKey]span
}

// rawKey is a key as bytes.
type rawKey [sha256.Size]byte

// parseKey returns the bytes of a key that checkKey accepts.
func parseKey(key string) (raw rawKey) {
	_, _ = hex.Decode(raw[:], []byte(key)) // checkKey has checked the 64 hex digits
	return raw
}

// span is the place of a record's CBOR, and its checksum.
type span struct {
	segment    int
	start, len int64
	sum        uint32
}

const headBytes = sha256.Size + 4 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key rawKey, record []byte) uint32 {
	return crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, record)
}

// factsIn returns the facts of a cache about the current generation of the bucket.
func (s *Store) factsIn(ctx context.Context, cacheDir string) (*facts, error) {
	generation, err := s.readGeneration(ctx)
	if err != nil {
		return nil, err
	}
	cache, err := s.directory(ctx, cacheDir)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	f := s.facts[cacheDir]
	if f == nil {
		sum := sha256.Sum256([]byte(s.b.base()))
		f = &facts{cache: cache, place: "facts/" + hex.EncodeToString(sum[:8])}
		s.facts[cacheDir] = f
	}
	s.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.generation == generation {
		return f, nil
	}
	return f, f.load(ctx, generation)
}

func (f *facts) close() error {
	var errs []error
	for _, segment := range f.segments {
		errs = append(errs, segment.Close())
	}
	f.segments, f.where = nil, map[rawKey]span{}
	return errors.Join(errs...)
}

var (
	segmentName    = regexp.MustCompile(`^[0-9a-f]{16}\.cbor$`)
	segmentPath    = regexp.MustCompile(`^facts/[0-9a-f]{16}/(?:first|[0-9a-f]{16})/[0-9a-f]{16}\.cbor$`)
	generationPath = regexp.MustCompile(`^(first|[0-9a-f]{16})$`)
)

// load opens the segments of a generation and removes those of others. The caller holds f.mu.
func (f *facts) load(ctx context.Context, generation string) error {
	if err := f.close(); err != nil {
		return err
	}
	f.generation = generation
	names, err := f.cache.names(f.place)
	if err != nil {
		return err
	}
	for _, name := range names {
		switch dir := f.place + "/" + name; {
		case !generationPath.MatchString(name):
		case name == generation:
			err = f.open(ctx, dir)
		default:
			err = f.drop(ctx, dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *facts) open(ctx context.Context, dir string) error {
	names, err := f.cache.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !segmentName.MatchString(name) {
			continue
		}
		file, err := f.cache.file(dir + "/" + name)
		if err == nil {
			err = f.scan(ctx, file)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// scan indexes the records of a segment.
func (f *facts) scan(ctx context.Context, segment *os.File) error {
	f.segments = append(f.segments, segment)
	r := bufio.NewReaderSize(contextReader{ctx, segment}, 1<<20)
	var at int64
	for {
		var head [headBytes]byte
		_, err := io.ReadFull(r, head[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return explain(err)
		}
		length := int64(binary.BigEndian.Uint32(head[sha256.Size:]))
		if _, err := io.CopyN(io.Discard, r, length); errors.Is(err, io.EOF) {
			return nil // truncated
		} else if err != nil {
			return explain(err)
		}
		sum := binary.BigEndian.Uint32(head[sha256.Size+4:])
		f.where[rawKey(head[:sha256.Size])] = span{len(f.segments) - 1, at + headBytes, length, sum}
		at += headBytes + length
	}
}

// drop removes the segments of a generation.
func (f *facts) drop(ctx context.Context, dir string) error {
	names, err := f.cache.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if segmentName.MatchString(name) {
			if err := f.cache.remove(ctx, dir+"/"+name); err != nil {
				return err
			}
		}
	}
	return f.cache.prune(dir)
}

// fact is a key and the place of its record.
type fact struct {
	key string
	raw rawKey
	at  span
}

// known adds the records of known keys to found and returns the other keys.
func (f *facts) known(ctx context.Context, keys []string, found *hits) (unknown []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var there []fact
	for _, key := range keys {
		raw := parseKey(key)
		if at, ok := f.where[raw]; ok {
			there = append(there, fact{key, raw, at})
		} else {
			unknown = append(unknown, key)
		}
	}
	// Sort by place in the files, so that one read serves many records.
	slices.SortFunc(there, func(a, b fact) int {
		return cmp.Or(cmp.Compare(a.at.segment, b.at.segment), cmp.Compare(a.at.start, b.at.start))
	})
	group, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		group.Go(func() error {
			part := there[w*len(there)/workers : (w+1)*len(there)/workers]
			records := make([]*Record, len(part))
			window := window{f: f}
			for i, x := range part {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				records[i] = window.read(x)
			}
			found.mu.Lock()
			defer found.mu.Unlock()
			for i, x := range part {
				if records[i] != nil {
					found.records[x.key] = records[i]
				} else {
					unknown = append(unknown, x.key)
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return unknown, err
}

// window is the part of a segment that is in memory.
type window struct {
	f       *facts
	segment int
	start   int64
	data    []byte
}

const windowBytes = 1 << 20

// read returns the record of a fact, or nil if it cannot be read, because this is only a cache.
func (w *window) read(x fact) *Record {
	at := x.at
	if at.len > maxRecord {
		return nil
	}
	if w.data == nil || w.segment != at.segment || at.start < w.start || at.start+at.len > w.start+int64(len(w.data)) {
		data := make([]byte, max(windowBytes, at.len))
		n, err := w.f.segments[at.segment].ReadAt(data, at.start)
		if err != nil && !errors.Is(err, io.EOF) || int64(n) < at.len {
			return nil
		}
		w.segment, w.start, w.data = at.segment, at.start, data[:n]
	}
	data := w.data[at.start-w.start:][:at.len]
	r := new(Record)
	if checksum(x.raw, data) != at.sum || cbor.Unmarshal(data, r) != nil || r.Key != x.key {
		return nil
	}
	return r
}

// add stores records. The generation must have been read before the records were looked up.
func (f *facts) add(records map[string]*Record) error {
	if len(records) == 0 {
		return nil
	}
	// Preserve the nanoseconds of times.
	mode, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		return err
	}
	var b []byte
	for _, key := range sortedKeys(records) {
		record, err := mode.Marshal(records[key])
		if err != nil {
			return fmt.Errorf("action %s: %w", key, err)
		}
		raw := parseKey(key)
		b = append(b, raw[:]...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(record)))
		b = binary.BigEndian.AppendUint32(b, checksum(raw, record))
		b = append(b, record...)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	name := f.place + "/" + f.generation + "/" + random() + ".cbor"
	if err := f.cache.write(context.Background(), name, b); err != nil {
		return err
	}
	file, err := f.cache.file(name)
	if err != nil {
		return err
	}
	return f.scan(context.Background(), file)
}
