package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/torch/family"
	"surprisal.dev/plugins/torch/graph"
)

// Checkpoint is an open model. Its methods, except Close, are safe for concurrent use.
type Checkpoint struct {
	architecture graph.Architecture
	mappings     []*mapping
	tensors      map[string]Tensor
	metadata     map[string]any
	tokenizer    []byte
	bos, eos     special
}

// special is the id of a special token, if there is one.
type special struct {
	id int32
	ok bool
}

// File is one file of a checkpoint.
type File struct {
	Path   string
	Bytes  int64
	Digest string // "sha256:" and 64 hexadecimal digits
}

// Open opens a .gguf file, a .safetensors file with config.json in its directory, or a directory with config.json and
// either model.safetensors or model.safetensors.index.json with its shards. A fault of the files is an error of kind
// InvalidInput.
func Open(path string) (*Checkpoint, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, invalid("no file or directory %s; check the model's path", path)
	}
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{}
	switch {
	case info.IsDir():
		err = c.openDirectory(path, "")
	case filepath.Ext(path) == ".safetensors":
		err = c.openDirectory(filepath.Dir(path), filepath.Base(path))
	default:
		err = c.openGGUF(path)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close unmaps the files. Tensors and slices that methods returned must not be used afterwards.
func (c *Checkpoint) Close() error {
	var err error
	for _, m := range c.mappings {
		err = errors.Join(err, m.close())
	}
	c.mappings, c.tensors, c.tokenizer = nil, nil, nil
	return err
}

// Architecture is the graph that the configuration describes.
func (c *Checkpoint) Architecture() graph.Architecture { return c.architecture }

// Tensors are the canonical names of the tensors, sorted.
func (c *Checkpoint) Tensors() []string { return slices.Sorted(maps.Keys(c.tensors)) }

// Has reports whether there is a tensor of this canonical name.
func (c *Checkpoint) Has(name string) bool { _, ok := c.tensors[name]; return ok }

// Tensor returns the tensor of a canonical name.
func (c *Checkpoint) Tensor(name string) (Tensor, error) {
	t, ok := c.tensors[name]
	if !ok {
		return Tensor{}, invalid("the checkpoint has no tensor %s", name)
	}
	return t, nil
}

// Sites are the stored names of the norms that the graph lists as sites, without ".weight".
func (c *Checkpoint) Sites() []string {
	var names []string
	for _, p := range c.architecture.Sites() {
		names = append(names, strings.TrimSuffix(c.tensors[p.Name()+".weight"].from.name, ".weight"))
	}
	return names
}

// Parameters is the number of elements of all tensors; a tied head counts once.
func (c *Checkpoint) Parameters() int64 {
	var n int64
	for _, t := range c.tensors {
		n += t.Elements()
	}
	return n
}

// ActiveParameters is the number of elements that a token uses: those of Parameters without the experts that it does not
// use.
func (c *Checkpoint) ActiveParameters() int64 {
	var n int64
	for p := range c.architecture.Parameters() {
		n += p.Used()
		if b, ok := p.Bias(); ok && c.Has(p.Name()+".bias") {
			n += b.Used()
		}
	}
	return n
}

// Files returns the open files, sorted by path. For the digests that are not known it reads the files completely, as
// many at once as there are cores. Tensors can be read at the same time; Unchanged then tells whether the digests are
// those of the bytes that were read.
func (c *Checkpoint) Files(ctx context.Context, known *digests.Cache) ([]File, error) {
	files := make([]File, len(c.mappings))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, m := range c.mappings {
		g.Go(func() error {
			digest, err := m.digest(ctx, known)
			files[i] = File{Path: m.path, Bytes: int64(len(m.data)), Digest: digest}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// Unchanged returns an error of kind Changed if a file has changed since it was opened.
func (c *Checkpoint) Unchanged() error {
	for _, m := range c.mappings {
		if err := m.unchanged(); err != nil {
			return err
		}
	}
	return nil
}

// Forget releases the pages of the files that were read into this process's memory. Tensors can still be read.
func (c *Checkpoint) Forget() error {
	var err error
	for _, m := range c.mappings {
		err = errors.Join(err, m.forget())
	}
	return err
}

// Metadata is the metadata of a GGUF file, or nil for other files. Values are bool, string, integers and floats of all
// sizes, and slices of those: "tokenizer.ggml.tokens" is a []string, "tokenizer.ggml.scores" a []float32,
// "tokenizer.ggml.token_type" a []int32.
func (c *Checkpoint) Metadata() map[string]any { return c.metadata }

// TokenizerJSON is the tokenizer.json of a directory.
func (c *Checkpoint) TokenizerJSON() (data []byte, ok bool) { return c.tokenizer, c.tokenizer != nil }

// BOS is the id of the beginning-of-text token, if a directory defines one. For a GGUF file, it is in the metadata.
func (c *Checkpoint) BOS() (id int32, ok bool) { return c.bos.id, c.bos.ok }

// EOS is the id of the end-of-text token, or the first of several, if a directory defines one.
func (c *Checkpoint) EOS() (id int32, ok bool) { return c.eos.id, c.eos.ok }

// mapped opens a file, keeps it for Files and Close, and returns its bytes.
func (c *Checkpoint) mapped(path string) ([]byte, error) {
	m, err := newMapping(path)
	if err != nil {
		return nil, err
	}
	c.mappings = append(c.mappings, m)
	return m.data, nil
}

// exists reports whether there is a file of this name in a directory.
func exists(directory, name string) (bool, error) {
	_, err := os.Stat(filepath.Join(directory, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// optional opens a file if it exists.
func (c *Checkpoint) optional(directory, name string) ([]byte, error) {
	if there, err := exists(directory, name); err != nil || !there {
		return nil, err
	}
	return c.mapped(filepath.Join(directory, name))
}

// object decodes a JSON object and keeps its numbers as written. It returns nil without data.
func object(path string, data []byte) (map[string]any, error) {
	if data == nil {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return nil, invalid("%s is not a JSON object: %v", path, err)
	}
	return values, nil
}

func (c *Checkpoint) openGGUF(path string) error {
	data, err := c.mapped(path)
	if err != nil {
		return err
	}
	metadata, list, err := parseGGUF(path, data)
	if err != nil {
		return err
	}
	c.metadata = metadata
	tensors := map[string]stored{}
	for _, t := range list {
		tensors[t.name] = t
	}
	m, err := family.FromMetadata(path, metadata, func(name string) (family.Tensor, bool) {
		t, ok := tensors[name]
		return family.Tensor{Type: string(t.typ), Shape: t.shape, Data: t.data}, ok
	})
	if err != nil {
		return err
	}
	c.architecture = m.Architecture
	c.tensors, err = resolve(m, path, tensors)
	return err
}

func (c *Checkpoint) openDirectory(directory, file string) error {
	path := filepath.Join(directory, "config.json")
	data, err := c.mapped(path)
	if err != nil {
		return err
	}
	config, err := object(path, data)
	if err != nil {
		return err
	}
	m, err := family.FromConfig(path, config)
	if err != nil {
		return err
	}
	c.architecture = m.Architecture
	tensors, err := c.safetensors(directory, file, m.Layout.Unused)
	if err != nil {
		return err
	}
	if c.tensors, err = resolve(m, directory, tensors); err != nil {
		return err
	}
	if c.tokenizer, err = c.optional(directory, "tokenizer.json"); err != nil {
		return err
	}
	return c.specials(directory, config)
}

// safetensors opens one file, or a directory's files. Nothing reads the tensors that unused matches.
func (c *Checkpoint) safetensors(directory, file string, unused *regexp.Regexp) (map[string]stored, error) {
	const single, index = "model.safetensors", "model.safetensors.index.json"
	if file == "" {
		there, err := exists(directory, single)
		if err != nil {
			return nil, err
		}
		if !there {
			if there, err = exists(directory, index); err != nil {
				return nil, err
			}
			if there {
				return c.shards(directory, index, unused)
			}
			return c.numbered(directory, invalid("%s has neither %s nor %s", directory, single, index))
		}
		file = single
	}
	tensors := map[string]stored{}
	return tensors, c.shard(filepath.Join(directory, file), tensors)
}

// shardName is the name of a shard that tells how many there are. Some publishers write no index.
var shardName = regexp.MustCompile(`^model-+(\d{5})-of-(\d{5})\.safetensors$`)

// numbered opens all shards of a directory without an index. If there are none, it returns the error.
func (c *Checkpoint) numbered(directory string, none error) (map[string]stored, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	tensors, found, last := map[string]stored{}, 0, ""
	for _, entry := range entries {
		parts := shardName.FindStringSubmatch(entry.Name())
		if parts == nil {
			continue
		}
		found++
		if number := fmt.Sprintf("%05d", found); parts[1] != number {
			return nil, invalid("%s has the shard %s, but not number %s; download the files again", directory, entry.Name(), number)
		}
		last = parts[2]
		if err := c.shard(filepath.Join(directory, entry.Name()), tensors); err != nil {
			return nil, err
		}
	}
	switch {
	case found == 0:
		return nil, none
	case last != fmt.Sprintf("%05d", found):
		return nil, invalid("%s has %d shards of %s; download the files again", directory, found, last)
	}
	return tensors, nil
}

// shard adds the tensors of a file.
func (c *Checkpoint) shard(path string, tensors map[string]stored) error {
	data, err := c.mapped(path)
	if err != nil {
		return err
	}
	list, err := parseSafetensors(path, data)
	if err != nil {
		return err
	}
	for _, t := range list {
		if other, twice := tensors[t.name]; twice {
			return invalid("tensor %q is in both %s and %s", t.name, other.file, t.file)
		}
		tensors[t.name] = t
	}
	return nil
}

// shards opens the files that an index lists. They must contain exactly the listed tensors, except for unused ones.
func (c *Checkpoint) shards(directory, index string, unused *regexp.Regexp) (map[string]stored, error) {
	path := filepath.Join(directory, index)
	data, err := c.mapped(path)
	if err != nil {
		return nil, err
	}
	var content struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &content); err != nil {
		return nil, invalid("%s: %v", path, err)
	}
	tensors := map[string]stored{}
	for _, file := range slices.Compact(slices.Sorted(maps.Values(content.WeightMap))) {
		if !filepath.IsLocal(file) {
			return nil, invalid("%s: %q is not a file of the directory", path, file)
		}
		if err := c.shard(filepath.Join(directory, file), tensors); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(content.WeightMap)) {
		if unused.MatchString(name) {
			continue
		}
		file := filepath.Join(directory, content.WeightMap[name])
		if t, ok := tensors[name]; !ok {
			return nil, invalid("%s: tensor %q is not in %s as the index requires; download the files again", path, name, file)
		} else if t.file != file {
			return nil, invalid("%s: tensor %q is in %s, but the index lists it in %s; download the files again", path, name, t.file, file)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		if _, listed := content.WeightMap[name]; !listed && !unused.MatchString(name) {
			return nil, invalid("%s: the index does not list tensor %q of %s; download the files again", path, name, tensors[name].file)
		}
	}
	return tensors, nil
}
