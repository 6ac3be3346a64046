package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

func main() { sdk.ServeProvider(provider{}) }

// maxBytes bounds the size of a file, which is read at once.
const maxBytes = 64 << 20

type provider struct{}

// config is the provider's configuration in a spec, after source: fortune.
type config struct {
	Path string `json:"path"`
}

func (provider) Describe(context.Context) (protocol.ProviderDescription, error) {
	return protocol.ProviderDescription{
		Name:    "fortune",
		Version: "1",
		Schema: `#Config: {
	// A file of sayings separated by lines that contain a single %. Relative paths start at the spec's directory.
	path!: string & !=""
}`,
	}, nil
}

func (provider) Resolve(_ context.Context, r protocol.ResolveRequest) (protocol.Resolution, error) {
	content, file, err := load(r.Source)
	if err != nil {
		return protocol.Resolution{}, err
	}
	// The path is not part of the cache key: the same sayings in another directory are the same source.
	return protocol.Resolution{Parameters: json.RawMessage("{}"), Files: []protocol.File{describe(file, content)}, Local: true}, nil
}

func (provider) Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error {
	if !slices.Equal(r.Fields, []string{"text"}) {
		return sdk.Invalid("fields %q: the only field is text", r.Fields)
	}
	content, file, err := load(r.Source)
	if err != nil {
		return err
	}
	if now := describe(file, content); !slices.Equal(r.Pinned.Files, []protocol.File{now}) {
		return sdk.Changed("%s changed since planning from %v to %v; plan again", file, r.Pinned.Files, now)
	}
	for ordinal, saying := range sayings(content) {
		row := int64(ordinal)
		if row < r.From {
			continue
		}
		if r.To > 0 && row >= r.To {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := emit(protocol.Row{Ordinal: row, Shard: filepath.Base(file), Number: row, Values: [][]byte{saying}})
		if err != nil {
			return err
		}
	}
	return nil
}

// load reads the file that a source names.
func load(s protocol.Source) (content []byte, file string, err error) {
	var c config
	if err := json.Unmarshal(s.Config, &c); err != nil {
		return nil, "", sdk.Invalid("configuration %s: %v", s.Config, err)
	}
	file = c.Path
	if !filepath.IsAbs(file) {
		file = filepath.Join(s.Dir, file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, "", sdk.Invalid("path %q: %v; check the path", c.Path, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxBytes {
		return nil, "", sdk.Invalid("path %q: %s must be a regular file of at most %d bytes", c.Path, file, maxBytes)
	}
	if content, err = os.ReadFile(file); err != nil {
		return nil, "", sdk.Invalid("path %q: %v", c.Path, err)
	}
	return content, file, nil
}

func describe(file string, content []byte) protocol.File {
	return protocol.File{Name: filepath.Base(file), Digest: protocol.Digest(content), Bytes: int64(len(content))}
}

// sayings splits a fortune file.
func sayings(content []byte) [][]byte {
	var list [][]byte
	start := 0 // of the current saying
	add := func(end int) {
		saying := bytes.TrimSuffix(bytes.TrimSuffix(content[start:end], []byte("\n")), []byte("\r"))
		if len(saying) > 0 {
			list = append(list, saying)
		}
	}
	at := 0 // of the current line
	for line := range bytes.Lines(content) {
		next := at + len(line)
		if string(bytes.TrimRight(line, "\r\n")) == "%" {
			add(at)
			start = next
		}
		at = next
	}
	add(at)
	return list
}
