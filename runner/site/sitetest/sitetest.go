// Package sitetest reads sites in tests.
package sitetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"

	"surprisal.dev/runner/action"
)

// Site is a site that was exported: the parts of its manifest that tests read.
type Site struct {
	T   testing.TB `json:"-"`
	Dir string     `json:"-"`

	Experiments []struct {
		Name     string
		Models   []struct{ Name string }
		Datasets int `json:"datasetCount"`
		Runs     []struct{ ID string }
	}
	Entries []Entry
}

// Entry is a page of a site.
type Entry struct {
	ID, Kind, Version, Key string
	Tags                   []string
	Headline               json.RawMessage
	Files                  map[string]action.PageFile
}

// Open reads the manifest of a site.
func Open(t testing.TB, dir string) *Site {
	t.Helper()
	s := &Site{T: t, Dir: dir}
	s.JSON("site.json", s)
	return s
}

// JSON reads a JSON file of the site.
func (s *Site) JSON(name string, v any) {
	s.T.Helper()
	data, err := os.ReadFile(filepath.Join(s.Dir, filepath.FromSlash(name)))
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		s.T.Fatal(err)
	}
}

// Entry returns the page with an address.
func (s *Site) Entry(id string) Entry {
	s.T.Helper()
	var ids []string
	for _, e := range s.Entries {
		if e.ID == id {
			return e
		}
		ids = append(ids, e.ID)
	}
	s.T.Fatalf("no page %s; pages are %q", id, ids)
	return Entry{}
}

// Rows reads a table of a page.
func Rows[T any](s *Site, file action.PageFile) []T {
	s.T.Helper()
	path := filepath.Join(s.Dir, filepath.FromSlash(file.Path))
	all, err := parquet.ReadFile[T](path)
	if err != nil {
		s.T.Fatalf("%s: %v", file.Path, err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != file.Bytes {
		s.T.Errorf("%s: the manifest says %d bytes (%v)", file.Path, file.Bytes, err)
	}
	return all
}

// Leaks returns the words that are in files of the site, with the files. It searches all bytes, those of tables
// decompressed.
func (s *Site) Leaks(words ...string) (found []string) {
	s.T.Helper()
	for name, data := range Everything(s.T, s.Dir) {
		for _, word := range words {
			if bytes.Contains(data, []byte(word)) {
				found = append(found, word+" in "+name)
			}
		}
	}
	slices.Sort(found)
	return found
}

// Everything returns the bytes of all files of a site by name, and for tables also their values and footers as text. It
// leaves out the program of the pages.
func Everything(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name == "assets" {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err == nil && filepath.Ext(name) == ".parquet" {
			data, err = decompressed(data)
		}
		all[name] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// decompressed returns a Parquet file, followed by its values and the text of its footer.
func decompressed(data []byte) ([]byte, error) {
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Write(data)
	fmt.Fprintf(&out, "%+v %s", f.Metadata(), f.Schema())
	for _, group := range f.RowGroups() {
		for _, column := range group.ColumnChunks() {
			if err := values(&out, column.Pages()); err != nil {
				return nil, err
			}
		}
	}
	return out.Bytes(), nil
}

func values(out io.Writer, pages parquet.Pages) error {
	defer pages.Close()
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		buffer := make([]parquet.Value, page.NumValues())
		n, err := page.Values().ReadValues(buffer)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for _, v := range buffer[:n] {
			fmt.Fprintf(out, "\n%s", v.String())
		}
		parquet.Release(page)
	}
}
