package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/internal/filelock"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/site"
)

// publishedName is the file of the state directory in which exports of sites remember what they made. publishedLock is
// locked to write it.
const (
	publishedName = "published.json"
	publishedLock = "published.lock"
)

// published is the content of that file.
type published struct {
	// Sum is the SHA-256 of Memory. An export trusts what it remembers, so that it must not be damaged.
	Sum    string          `json:"sha256"`
	Memory json.RawMessage `json:"memory"`
}

// decodePublished returns what the file remembers, or an error if it is not what an export wrote.
func decodePublished(data []byte) (*site.Memory, error) {
	var p published
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, err
	}
	if protocol.Digest(p.Memory) != p.Sum {
		return nil, errors.New("its checksum does not match")
	}
	m := &site.Memory{}
	return m, json.Unmarshal(p.Memory, m)
}

func encodePublished(m *site.Memory) ([]byte, error) {
	memory, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(published{protocol.Digest(memory), memory})
}

// Bounds of what is remembered: the number of files, and the size of the file that is read.
const (
	mostPublished      = 100_000
	mostPublishedBytes = 32 << 20
)

// siteMemory returns what earlier exports of a site made, or nil if that is not remembered.
func (w *Workspace) siteMemory(ctx context.Context) *site.Memory {
	if !w.remembers() {
		return nil
	}
	root, marked, err := openState(w.state)
	if err != nil {
		return nil
	}
	defer root.Close()
	program, err := w.programDigest(ctx)
	if !marked || err != nil {
		return nil
	}
	var m *site.Memory
	data, err := bounded.ReadFile(root.FS(), publishedName, mostPublishedBytes)
	if err == nil {
		m, err = decodePublished(data)
	}
	if err != nil || m.Program != program || m.Files == nil || len(m.Files) > mostPublished {
		// Another program would make other files, and so might a damaged record.
		return &site.Memory{Program: program, Files: map[string]string{}}
	}
	return m
}

// programDigest identifies this program.
func (w *Workspace) programDigest(ctx context.Context) (string, error) {
	f, err := os.Open(w.program)
	if err != nil {
		return "", err
	}
	defer f.Close()
	digest, _, err := w.digests.Digest(ctx, f)
	return digest, err
}

// savePublished remembers what an export made. If that fails, the next one takes longer.
func (w *Workspace) savePublished(ctx context.Context, m *site.Memory) {
	w.saveDigests(ctx)
	if err := w.writePublished(ctx, m); err != nil {
		w.log.Warn("cannot save what the export made; the next one makes all tables again", "error", err)
	}
}

func (w *Workspace) writePublished(ctx context.Context, m *site.Memory) (err error) {
	root, marked, err := openState(w.state)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if !marked {
		return fmt.Errorf("state directory %s: it has no marker", w.state)
	}
	data, err := encodePublished(m)
	if err != nil {
		return err
	}
	lock, err := filelock.Acquire(ctx, root, publishedLock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	// The lock is held, so that the temporary name is either free or left by a process that died.
	const partial = publishedName + ".partial"
	if err := root.WriteFile(partial, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return root.Rename(partial, publishedName)
}
