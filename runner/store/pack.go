package store

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"sync"

	"golang.org/x/sync/errgroup"

	"surprisal.dev/internal/bounded"
)

// packs is the prefix of packs, which contain copies of a bucket's records. A pack has all records of one process's
// lease, so that many records need few requests. The record under its own name is authoritative.
//
//	packs/<run>.<16 hex>.jsonl.gz    lines of a key, a space and a record
const packs = "packs/"

var packName = regexp.MustCompile(`^packs/([A-Za-z0-9][A-Za-z0-9._-]*)\.[0-9a-f]{16}\.jsonl\.gz$`)

// maxLine bounds a line of a pack: a key, a space and a record.
const maxLine = 64 + 1 + maxRecord

// pack collects records, compressed.
type pack struct {
	mu    sync.Mutex
	data  bytes.Buffer
	lines *gzip.Writer
}

func (p *pack) add(key string, record []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines == nil {
		p.lines = gzip.NewWriter(&p.data)
	}
	for _, part := range [][]byte{[]byte(key), {' '}, record} { // the record ends the line
		if _, err := p.lines.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// putPack publishes the records that a lease collected, if any.
func (s *Store) putPack(ctx context.Context, l *lease) error {
	p := &l.pack
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines == nil {
		return nil
	}
	if err := p.lines.Close(); err != nil {
		return err
	}
	p.lines = nil
	return s.write(ctx, packs+l.run+"."+random()+".jsonl.gz", p.data.Bytes())
}

// readPacks returns the records with the given keys from all packs. The records of a pack that cannot be read are
// looked up one by one.
func (s *Store) readPacks(ctx context.Context, keys map[string]bool) (map[string]*Record, error) {
	found := &hits{records: map[string]*Record{}}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(requests)
	for o, err := range s.b.list(ctx, packs) {
		if err != nil {
			return nil, errors.Join(fmt.Errorf("store %s: %w", s, err), group.Wait())
		}
		if !packName.MatchString(o.name) {
			continue
		}
		group.Go(func() error {
			err := s.readPack(groupCtx, o.name, keys, found)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed by a collection meanwhile
			}
			if err != nil && groupCtx.Err() == nil {
				s.warn(fmt.Sprintf("%s: cannot be read: %v; its actions are looked up one by one", s.b.where(o.name), err))
				return nil
			}
			return err
		})
	}
	return found.records, group.Wait()
}

func (s *Store) readPack(ctx context.Context, name string, keys map[string]bool, found *hits) (err error) {
	// Records of several packs are in memory at a time.
	if err := reading.Acquire(ctx, maxRecord); err != nil {
		return err
	}
	defer reading.Release(maxRecord)
	in, err := s.b.open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	z, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(contextReader{ctx, z}, 64<<10)
	for {
		line, err := bounded.ReadLine(lines, maxLine)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		key, record, _ := bytes.Cut(line, []byte{' '})
		if !keys[string(key)] {
			continue
		}
		if r, err := decodeRecord(string(key), record); err == nil {
			found.add(r.Key, r)
		}
	}
}

// sweepPacks removes the packs of removed runs.
func (g *collection) sweepPacks(ctx context.Context) error {
	var garbage []string
	for o, err := range g.s.b.list(ctx, packs) {
		if err != nil {
			return err
		}
		if m := packName.FindStringSubmatch(o.name); m != nil && !g.kept[m[1]] && !g.working[m[1]] {
			garbage = append(garbage, o.name)
		}
	}
	return g.remove(ctx, garbage)
}
