package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"surprisal.dev/runner/store"
)

// describe returns the record of an action that looks like a score, without outputs.
func describe(i int) (*store.Record, error) {
	descriptor, err := store.MarshalCanonical(map[string]any{
		"kind": "score", "schema": 1, "parameters": map[string]any{"context": 1024, "stride": 512, "prefix": "bos", "anchor": "tokens", "dataset": i},
		"inputs": map[string]string{"documents": digest(fmt.Sprint("documents ", i%1000)), "model": digest(fmt.Sprint("model ", i/1000))},
		"worker": map[string]string{"name": "torch", "version": "1.2.3", "digest": digest("torch")},
	})
	return &store.Record{
		Key: store.KeyOf(descriptor), Descriptor: descriptor, Name: fmt.Sprint("score model-", i/1000, " dataset-", i%1000),
		Started: time.Now().UTC(), Finished: time.Now().UTC(), Measured: map[string]float64{"seconds": 1},
	}, err
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// lay writes the records of n actions and their blobs directly to the server's files: four outputs each, one of which
// belongs to the action alone and three to a thousand that actions share. The records are also in packs of a thousand,
// as runs of that size leave them.
func (b *bench) lay(prefix string, n int) (keys []string, err error) {
	root := filepath.Join(b.dir, "server", bucketName, prefix)
	write := func(name string, data []byte) error {
		path := filepath.Join(root, name)
		err := os.WriteFile(path, data, 0o666)
		if errors.Is(err, os.ErrNotExist) {
			if err = os.MkdirAll(filepath.Dir(path), 0o777); err == nil {
				err = os.WriteFile(path, data, 0o666)
			}
		}
		return err
	}
	if err := write("store.json", []byte(`{"layout":2,"kind":"store"}`)); err != nil {
		return nil, err
	}
	var pack bytes.Buffer
	lines := gzip.NewWriter(&pack)
	for i := range n {
		r, err := describe(i)
		if err != nil {
			return nil, err
		}
		for j, content := range []string{fmt.Sprint("own ", i), fmt.Sprint("a ", i%1000), fmt.Sprint("b ", i%1000), fmt.Sprint("c ", i%1000)} {
			r.Outputs = append(r.Outputs, store.File{Name: fmt.Sprint("file-", j), Digest: digest(content), Bytes: int64(len(content))})
			hex := strings.TrimPrefix(digest(content), "sha256:")
			if j > 0 && i >= 1000 {
				continue
			}
			if err := write("blobs/sha256/"+hex[:2]+"/"+hex, []byte(content)); err != nil {
				return nil, err
			}
		}
		data, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		if err := write("actions/"+r.Key[:2]+"/"+r.Key+".json", data); err != nil {
			return nil, err
		}
		keys = append(keys, r.Key)
		if _, err := fmt.Fprintf(lines, "%s %s\n", r.Key, data); err != nil {
			return nil, err
		}
		if i%1000 == 999 || i == n-1 {
			if err := lines.Close(); err != nil {
				return nil, err
			}
			if err := write(fmt.Sprintf("packs/run-%d.%016x.jsonl.gz", i/1000, i), pack.Bytes()); err != nil {
				return nil, err
			}
			pack.Reset()
			lines.Reset(&pack)
		}
	}
	return keys, nil
}

func (b *bench) lookups(n int) error {
	keys, err := b.lay("lookups", n)
	if err != nil {
		return err
	}
	cache := filepath.Join(b.dir, "cache")
	for _, what := range []string{"cold", "warm", "warm"} {
		began, used, before := time.Now(), cpu(), b.proxy.requests.Load()
		s, err := store.Open(background, location(b.proxy.address, "lookups"))
		if err != nil {
			return err
		}
		found, err := s.LookupMany(background, keys, cache)
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
		if len(found) != n {
			return fmt.Errorf("%d of %d actions were found", len(found), n)
		}
		fmt.Printf("resolve %d actions, %s: %.1f s, %d requests, %.1f s of processor time\n", n, what, time.Since(began).Seconds(),
			b.proxy.requests.Load()-before, (cpu() - used).Seconds())
	}
	return nil
}

// run executes n small actions of two files each, in sequence. The time of one then shows how many requests wait for
// each other.
func (b *bench) run(n int) (err error) {
	s, err := store.Open(background, location(b.proxy.address, "run"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	run := store.Run{ID: "r", Started: time.Now(), State: "running"}
	if err := s.Begin(background, run); err != nil {
		return err
	}
	began, before := time.Now(), b.proxy.requests.Load()
	for i := range n {
		r, err := describe(i)
		if err != nil {
			return err
		}
		if err := b.act(s, r); err != nil {
			return err
		}
		run.Actions = append(run.Actions, store.RunAction{Name: r.Name, Key: r.Key, State: "done"})
	}
	each, requests := time.Since(began)/time.Duration(n), b.proxy.requests.Load()-before
	fmt.Printf("%d small actions one at a time: %.0f ms each, that is at most %.1f requests one after the other; %.1f requests each\n", n,
		each.Seconds()*1000, each.Seconds()/b.latency.Seconds(), float64(requests)/float64(n))
	began = time.Now()
	run.Finished = time.Now()
	if err := s.PutRun(background, run); err != nil {
		return err
	}
	fmt.Printf("the end of that run: %.1f s\n", time.Since(began).Seconds())
	began = time.Now()
	if _, err := s.GC(background, store.GCOptions{}); err != nil {
		return err
	}
	fmt.Printf("concurrent gc during the idle run, which keeps everything: %.1f s\n", time.Since(began).Seconds())
	return nil
}

func (b *bench) act(s *store.Store, r *store.Record) error {
	if _, hit, err := s.Lookup(background, r.Key); err != nil || hit {
		return fmt.Errorf("the action has run: %w", err)
	}
	dir, err := s.Scratch(filepath.Join(b.dir, "cache"))
	if err != nil {
		return err
	}
	names := []string{"scored_documents.parquet", "summary.json"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name+r.Key), 0o666); err != nil {
			return err
		}
	}
	if r.Outputs, err = s.PutFiles(background, dir, names); err != nil {
		return err
	}
	if _, err := s.PutRecord(background, r); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// leases holds n idle leases, in a bucket and in a directory. It bypasses the proxy, whose work would count.
func (b *bench) leases(n int, idle time.Duration) error {
	for _, location := range []string{location(b.address, "leases"), filepath.Join(b.dir, "leases")} {
		var stores []*store.Store
		for i := range n {
			s, err := store.Open(background, location)
			if err != nil {
				return err
			}
			stores = append(stores, s)
			if err := s.Begin(background, store.Run{ID: fmt.Sprint("r", i), Started: time.Now(), State: "running"}); err != nil {
				return err
			}
		}
		used := cpu()
		time.Sleep(idle)
		used = cpu() - used
		fmt.Printf("%d idle leases at %s: %.2f%% of a core\n", n, stores[0], 100*used.Seconds()/idle.Seconds())
		for _, s := range stores {
			if err := s.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}
