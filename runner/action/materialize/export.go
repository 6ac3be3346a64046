package materialize

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Files of an exported dataset, in addition to those of the artifact.
const (
	HeldoutFile         = "heldout.jsonl.gz"
	HeldoutMetadataFile = "heldout_metadata.json"
)

// Heldout describes an exported dataset: what it is, and where it came from.
type Heldout struct {
	Dataset string   `json:"dataset"`
	Tags    []string `json:"tags,omitempty"`
	File    struct {
		Name    string `json:"name"`
		Digest  string `json:"digest"`
		Bytes   int64  `json:"bytes"`
		Records int64  `json:"records"`
		// TextBytes is the size of all text.
		TextBytes int64 `json:"textBytes"`
	} `json:"file"`
	// Fields are those of a line that hold the document: text, or input and target.
	Fields []string `json:"fields"`
	// Source has the source, its revision, the range of rows, the limits, and what they dropped.
	Source artifact.Metadata `json:"source"`
}

// record is a line of an exported dataset. Its document is in Text, or in Input and Target.
type record struct {
	Text   *string `json:"text,omitempty"`
	Input  *string `json:"input,omitempty"`
	Target *string `json:"target,omitempty"`
	// Shard and Row are where the document was in its source.
	Shard   string `json:"shard"`
	Row     int64  `json:"row"`
	Cluster string `json:"cluster,omitempty"`
}

// Export implements action.Exporter. In addition to the files of the artifact, it writes the documents as JSON Lines that the
// provider jsonl reads, and a description of them.
func (Kind) Export(ctx context.Context, files action.Files, labels plan.Labels, dir string) ([]string, error) {
	for _, name := range files.Names() {
		if err := copyOut(ctx, files, name, dir); err != nil {
			return nil, err
		}
	}
	h := Heldout{Dataset: labels.Dataset, Tags: labels.Tags}
	data, err := os.ReadFile(filepath.Join(dir, artifact.MetadataFile))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &h.Source); err != nil {
		return nil, err
	}
	h.Fields = []string{"text"}
	if len(h.Source.Fields) == 2 {
		h.Fields = []string{"input", "target"}
	}
	documents, err := files.Path(ctx, artifact.DocumentsFile)
	if err != nil {
		return nil, err
	}
	if err := h.write(ctx, documents, filepath.Join(dir, HeldoutFile)); err != nil {
		return nil, err
	}
	if data, err = json.MarshalIndent(h, "", "  "); err != nil {
		return nil, err
	}
	names := append(slices.Clone(files.Names()), HeldoutFile, HeldoutMetadataFile)
	return names, os.WriteFile(filepath.Join(dir, HeldoutMetadataFile), append(protocol.VisibleJSON(data), '\n'), 0o644)
}

// copyOut copies a file of an artifact to a directory.
func copyOut(ctx context.Context, files action.Files, name, dir string) (err error) {
	path, err := files.Path(ctx, name)
	if err != nil {
		return err
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Close())
}

// write writes documents as compressed JSON Lines, and describes the file. Equal documents give equal bytes.
func (h *Heldout) write(ctx context.Context, documents, to string) (err error) {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	sum := sha256.New()
	compressed := gzip.NewWriter(io.MultiWriter(out, sum))
	lines := json.NewEncoder(compressed)
	lines.SetEscapeHTML(false)
	for d, err := range artifact.ReadDocuments([]string{documents}, func(protocol.Document) {}) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := h.record(d)
		if err != nil {
			return err
		}
		if err := lines.Encode(r); err != nil {
			return err
		}
		h.File.Records++
		h.File.TextBytes += int64(len(d.Text))
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	h.File.Name, h.File.Digest = HeldoutFile, "sha256:"+hex.EncodeToString(sum.Sum(nil))
	h.File.Bytes, err = out.Seek(0, io.SeekCurrent)
	return err
}

// record returns the line of a document.
func (h *Heldout) record(d protocol.Document) (record, error) {
	r := record{Shard: d.Shard, Row: d.Row, Cluster: d.Cluster}
	text := d.Text
	if len(h.Fields) == 1 {
		r.Text = &text
		return r, nil
	}
	if int(d.ScoreEnd) != len(text) {
		return r, fmt.Errorf("document %d of %s ends at %d, but its target at %d", d.Index, h.Dataset, len(text), d.ScoreEnd)
	}
	input, target := text[:d.ScoreStart], text[d.ScoreStart:]
	r.Input, r.Target = &input, &target
	return r, nil
}
