package site

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// Memory is what earlier exports of this machine made: the digests of files by a key of what they were made from. It is
// not part of a site, so that a site needs no trust. The key contains the program, which decides the bytes.
type Memory struct {
	// Program identifies the program.
	Program string
	Files   map[string]string
}

// older is the site that is replaced. Its files were verified.
type older struct {
	root  *os.Root
	files map[string]string
}

// errChanged means that a file of the old site is not there with the content that it had.
var errChanged = errors.New("a file of the old site has changed")

// again publishes a file of the old site, named by its digest. It returns false if the old site has none.
func (o *output) again(digest, extension string) (file action.PageFile, ok bool, err error) {
	name := path.Join(dataDir, digest+extension)
	if o.old == nil || digest == "" || o.old.files[name] != digest {
		return file, false, nil
	}
	in, err := o.old.root.Open(name)
	if err != nil {
		return file, false, nil //nolint:nilerr // It is made anew.
	}
	file, err = o.data(extension, func(w io.Writer) error {
		h := sha256.New()
		if _, err := io.Copy(io.MultiWriter(w, h), in); err != nil {
			return err
		}
		if hex.EncodeToString(h.Sum(nil)) != digest {
			return errChanged
		}
		return nil
	})
	if errors.Is(err, errChanged) {
		return file, false, in.Close()
	}
	return file, err == nil, errors.Join(err, in.Close())
}

// made publishes a table that is made of a file of the store and of nothing else but the choice of rows. It takes it
// from the old site if an earlier export made it there.
func (p *publisher) made(from, rows string, fill func() (action.PageFile, error)) (action.PageFile, error) {
	m := p.e.Memory
	if m == nil {
		return fill()
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n", m.Program, from, rows))
	key := hex.EncodeToString(sum[:])
	file, ok, err := p.out.again(m.Files[key], ".parquet")
	if !ok && err == nil {
		file, err = fill()
	}
	if err == nil {
		m.Files[key] = digestOfName(file.Path)
	}
	return file, err
}

func digestOfName(name string) string {
	base := path.Base(name)
	return base[:len(base)-len(path.Ext(base))]
}

// choiceOf identifies a choice of rows.
func choiceOf(ids []artifact.RowID) string {
	h := sha256.New()
	for _, id := range ids {
		h.Write(strconv.AppendInt(strconv.AppendQuote(nil, id.Shard), id.Row, 10))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// everyRow is the choice of all rows.
const everyRow = "all"
