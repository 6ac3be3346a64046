package hubtest

import (
	"crypto/sha1" //nolint:gosec // Git's digests are SHA-1.
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Access is who may read a repository.
type Access int

// Accesses of repositories.
const (
	Public Access = iota
	// Gated needs a token of an account that has accepted the conditions.
	Gated
	// Private looks to strangers as if it did not exist.
	Private
)

// Repository is a repository of a Server.
type Repository struct {
	// Kind is "models" or "datasets".
	Kind, ID string
	Access   Access

	// commits holds the files of each commit, and refs the commit of each branch.
	commits map[string]map[string]string
	refs    map[string]string
}

// Commit makes a commit of files, by path, the head of a branch, such as "main" or "refs/convert/parquet".
func (r *Repository) Commit(branch string, files map[string]string) string {
	h := sha1.New() //nolint:gosec // As above.
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %s\n", name, Blob(files[name]))
	}
	fmt.Fprintf(h, "%s %s", branch, r.refs[branch])
	commit := hex.EncodeToString(h.Sum(nil))
	r.commits[commit], r.refs[branch] = maps.Clone(files), commit
	return commit
}

// at returns the commit that a revision names, or "".
func (r *Repository) at(revision string) string {
	if commit := r.refs[revision]; commit != "" {
		return commit
	}
	if r.commits[revision] != nil {
		return revision
	}
	return ""
}

// IsLarge reports whether a file is in large file storage.
func IsLarge(name string) bool {
	return slices.ContainsFunc([]string{".parquet", ".safetensors", ".gguf", ".bin", ".gz"}, func(e string) bool { return strings.HasSuffix(name, e) })
}

// Blob returns git's digest of content, and SHA256 that of large file storage.
func Blob(content string) string {
	sum := sha1.Sum([]byte(fmt.Sprintf("blob %d\x00%s", len(content), content))) //nolint:gosec // As above.
	return hex.EncodeToString(sum[:])
}

// SHA256 returns the digest of content in large file storage.
func SHA256(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
