package store

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// generationName is an object of a bucket whose content changes when records or blobs are removed.
const generationName = "generation"

// readGeneration returns what the generation is; "first" before anything was removed.
func (s *Store) readGeneration(ctx context.Context) (string, error) {
	data, err := s.readAll(ctx, generationName)
	if errors.Is(err, fs.ErrNotExist) {
		return "first", nil
	}
	if err != nil {
		return "", err
	}
	if !generationFormat.Match(data) {
		return "", fmt.Errorf("%s: is damaged: it holds %q; delete it", s.b.where(generationName), data)
	}
	return string(data), nil
}

var generationFormat = regexp.MustCompile(`^[0-9a-f]{16}$`)

// forget makes everybody's facts of a bucket old. It comes before what is removed.
func (s *Store) forget(ctx context.Context) error {
	if s.b.local() != nil {
		return nil
	}
	return s.write(ctx, generationName, []byte(random()))
}

// facts are records of a bucket whose blobs all exist, in files under a cache. They hold for one generation.
//
//	facts/<16 hex of the store's address>/<generation>/<16 hex>.jsonl    lines of a key, a space and a record
type facts struct {
	cache      *directory
	place      string // facts/<store>
	mu         sync.Mutex
	generation string
	segments   []*os.File
	where      map[string]span
}

// span is where the JSON of a record is.
type span struct {
	segment    int
	start, len int64
}

// factsIn returns what a cache knows of the bucket as it is now.
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
	f.segments, f.where = nil, map[string]span{}
	return errors.Join(errs...)
}

var (
	segmentName    = regexp.MustCompile(`^[0-9a-f]{16}\.jsonl$`)
	segmentPath    = regexp.MustCompile(`^facts/[0-9a-f]{16}/(?:first|[0-9a-f]{16})/[0-9a-f]{16}\.jsonl$`)
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

// scan notes where a segment has which record.
func (f *facts) scan(ctx context.Context, segment *os.File) error {
	f.segments = append(f.segments, segment)
	r := bufio.NewReaderSize(contextReader{ctx, segment}, 1<<20)
	var at int64
	for {
		var key [65]byte
		n, err := io.ReadFull(r, key[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return explain(err)
		}
		length := int64(0)
		for {
			part, err := r.ReadSlice('\n')
			length += int64(len(part))
			if err == nil {
				break
			}
			if errors.Is(err, io.EOF) {
				return nil // cut off
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				return explain(err)
			}
		}
		if isHex64(string(key[:64])) {
			f.where[string(key[:64])] = span{len(f.segments) - 1, at + int64(n), length}
		}
		at += int64(n) + length
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

// known adds the keys of which there are facts to found and returns the others.
func (f *facts) known(ctx context.Context, keys []string, found *hits) (unknown []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	others := make([][]string, workers)
	// In the order of the files, so that few reads serve many.
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b string) int {
		x, y := f.where[a], f.where[b]
		return cmp.Or(cmp.Compare(x.segment, y.segment), cmp.Compare(x.start, y.start))
	})
	for w := range workers {
		group.Go(func() error {
			part := map[string]*Record{}
			window := window{f: f}
			for _, key := range keys[w*len(keys)/workers : (w+1)*len(keys)/workers] {
				r := window.read(key)
				if r == nil {
					others[w] = append(others[w], key)
					continue
				}
				part[key] = r
			}
			found.mu.Lock()
			defer found.mu.Unlock()
			maps.Copy(found.records, part)
			return ctx.Err()
		})
	}
	err = group.Wait()
	for _, other := range others {
		unknown = append(unknown, other...)
	}
	return unknown, err
}

// window is a part of a segment that was read.
type window struct {
	f       *facts
	segment int
	start   int64
	data    []byte
}

const windowBytes = 1 << 20

// read returns the record of a key, nil if there is none that can be read: it is only a cache.
func (w *window) read(key string) *Record {
	at, ok := w.f.where[key]
	if !ok {
		return nil
	}
	if w.segment != at.segment || at.start < w.start || at.start+at.len > w.start+int64(len(w.data)) {
		data := make([]byte, max(windowBytes, at.len))
		n, err := w.f.segments[at.segment].ReadAt(data, at.start)
		if err != nil && !errors.Is(err, io.EOF) || int64(n) < at.len {
			return nil
		}
		w.segment, w.start, w.data = at.segment, at.start, data[:n]
	}
	r, err := decodeRecord(key, w.data[at.start-w.start:][:at.len])
	if err != nil {
		return nil
	}
	return r
}

// add keeps records of the generation that was read before they were looked up.
func (f *facts) add(records map[string]*Record) error {
	if len(records) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, key := range sortedKeys(records) {
		line, err := encode(records[key]) // it ends the line
		if err != nil {
			return err
		}
		b.WriteString(key)
		b.WriteByte(' ')
		b.Write(line)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	name := f.place + "/" + f.generation + "/" + random() + ".jsonl"
	if err := f.cache.write(context.Background(), name, b.Bytes()); err != nil {
		return err
	}
	file, err := f.cache.file(name)
	if err != nil {
		return err
	}
	return f.scan(context.Background(), file)
}
