package site

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
)

// output is the directory of a site that is being written.
type output struct {
	root *os.Root
	// files are the digests of the files so far, by name.
	files map[string]string
	// bytes counts the bytes of the files.
	bytes int64
	// old is the site that is replaced, or nil.
	old *older
	// unnamed counts the files that were written before their digest was known.
	unnamed int
}

// named writes a file.
func (o *output) named(name string, fill func(io.Writer) error) error {
	if err := o.root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	digest, bytes, err := o.write(name, fill)
	o.files[name] = digest
	o.bytes += bytes
	return err
}

// data writes a file that is named by its content, and returns its name and size.
func (o *output) data(extension string, fill func(io.Writer) error) (action.PageFile, error) {
	o.unnamed++
	partial := fmt.Sprintf("%s/partial-%d", dataDir, o.unnamed)
	digest, bytes, err := o.write(partial, fill)
	if err != nil {
		return action.PageFile{}, errors.Join(err, o.root.Remove(partial))
	}
	name := path.Join(dataDir, digest+extension)
	if _, ok := o.files[name]; !ok {
		o.bytes += bytes
	}
	o.files[name] = digest
	return action.PageFile{Path: name, Bytes: bytes}, o.root.Rename(partial, name)
}

// json writes a value as a file that is named by its content.
func (o *output) json(v any) (action.PageFile, error) {
	data, err := encode(v)
	if err != nil {
		return action.PageFile{}, err
	}
	return o.data(".json", func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// encode returns a value as JSON whose strings control neither a terminal nor a CI system.
func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(protocol.VisibleJSON(data), '\n'), nil
}

func (o *output) write(name string, fill func(io.Writer) error) (digest string, bytes int64, err error) {
	f, err := o.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return "", 0, err
	}
	return writeFile(f, fill)
}

// writeFile fills and closes a file, and returns the digest and the number of its bytes.
func writeFile(f *os.File, fill func(io.Writer) error) (digest string, bytes int64, err error) {
	defer func() {
		// A file that was not written does not count, and closing it tells nothing more.
		if failed := f.Close(); err == nil {
			err = failed
		}
	}()
	h := sha256.New()
	c := &counter{f: f}
	w := bufio.NewWriterSize(io.MultiWriter(c, h), 1<<16)
	// After a failed write, a flush returns the same error again.
	if err := fill(w); err != nil {
		return "", 0, err
	}
	if err := w.Flush(); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), c.bytes, nil
}

// counter counts the bytes that are written to a file. Its errors do not name the file, whose name is temporary.
type counter struct {
	f     *os.File
	bytes int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.f.Write(p)
	c.bytes += int64(n)
	if named, ok := errors.AsType[*fs.PathError](err); ok {
		err = fmt.Errorf("write a file of the site: %w", named.Err)
	}
	return n, err
}

// copyAll copies the files of a file system.
func (o *output) copyAll(from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		in, err := from.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(o.named(name, func(w io.Writer) error {
			_, err := io.Copy(w, in)
			return err
		}), in.Close())
	})
}
