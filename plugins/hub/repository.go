package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/plugins/protocol"
)

// Kind is the kind of a repository.
type Kind string

// Kinds of repositories.
const (
	Model   Kind = "model"
	Dataset Kind = "dataset"
)

// Repository is a repository of a hub.
type Repository struct {
	Kind Kind
	// ID is "NAME" or "OWNER/NAME".
	ID string
}

func (r Repository) String() string { return string(r.Kind) + " " + r.ID }

// File is a file of a repository at a commit.
type File struct {
	// Path is relative to the repository, with slashes.
	Path  string
	Bytes int64
	// SHA256 is the hexadecimal digest of a file in large file storage. Of other files only Blob is known, git's digest.
	SHA256, Blob string
}

// Etag is the digest by which the hub and the cache identify the content.
func (f File) Etag() string { return cmp.Or(f.SHA256, f.Blob) }

const (
	// maxAnswer is the maximum size of an answer of the hub's interface in bytes, and maxPages that of answers to a listing.
	maxAnswer = 64 << 20
	maxPages  = 10_000
	// maxFiles is the maximum number of files of a listing.
	maxFiles = 1_000_000
)

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$`)
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
	sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// IsCommit reports whether a revision is a commit, which no one can move.
func IsCommit(revision string) bool { return commitPattern.MatchString(revision) }

// Check returns an error if the names cannot be those of a repository and a revision.
func (r Repository) Check(revision string) error {
	if !idPattern.MatchString(r.ID) || strings.Contains(r.ID, "--") || strings.Contains(r.ID, "..") {
		return protocol.Invalid("repository %q: expected OWNER/NAME, of letters, digits, dots, hyphens and underscores", r.ID)
	}
	if !fs.ValidPath(revision) || revision == "." || strings.ContainsAny(revision, "\\\x00?#") {
		return protocol.Invalid("revision %q: expected a commit of 40 hexadecimal digits, or the name of a branch or tag", revision)
	}
	return nil
}

// Commit returns the commit of a revision. It asks the hub unless the revision is a commit, and notes the answer in the
// cache. Offline it takes the note.
func (c *Client) Commit(ctx context.Context, r Repository, revision string) (string, error) {
	if err := r.Check(revision); err != nil {
		return "", err
	}
	if IsCommit(revision) {
		return revision, nil
	}
	if c.offline {
		return c.noted(r, revision)
	}
	var info struct {
		SHA string `json:"sha"`
	}
	at := c.address("api", r.Kind.plural(), r.ID, "revision", revision)
	if _, err := c.getJSON(ctx, request{repository: r, revision: revision, address: at}, &info); err != nil {
		return "", err
	}
	if !IsCommit(info.SHA) {
		return "", fmt.Errorf("%s: the hub names the commit %.100q of revision %s; expected 40 hexadecimal digits", r, info.SHA, revision)
	}
	return info.SHA, c.note(r, revision, info.SHA)
}

func (k Kind) plural() string { return string(k) + "s" }

// entry is an entry of a listing.
type entry struct {
	Type string `json:"type"`
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	Path string `json:"path"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// file checks an entry of a hub, which may be malicious: names become paths.
func (e entry) file() (File, error) {
	f := File{Path: e.Path, Bytes: e.Size, Blob: e.OID}
	if e.LFS != nil {
		f.SHA256, f.Bytes = e.LFS.OID, e.LFS.Size
	}
	switch {
	case !validName(e.Path):
		return f, fmt.Errorf("the hub lists a file with the name %.200q, which cannot be a path", e.Path)
	case f.Bytes < 0:
		return f, fmt.Errorf("the hub lists the file %q with %d bytes", e.Path, f.Bytes)
	case e.LFS != nil && !sha256Pattern.MatchString(f.SHA256):
		return f, fmt.Errorf("the hub lists the file %q with the digest %.100q; expected a SHA-256 of 64 hexadecimal digits", e.Path, f.SHA256)
	case e.LFS == nil && !commitPattern.MatchString(f.Blob):
		return f, fmt.Errorf("the hub lists the file %q with the digest %.100q; expected a SHA-1 of 40 hexadecimal digits", e.Path, f.Blob)
	}
	return f, nil
}

// validName reports whether a file may have a name: one that stays below the directory that it is joined to. A name that
// is not UTF-8 arrives with U+FFFD, which stands for any bytes.
func validName(name string) bool {
	return fs.ValidPath(name) && name != "." && !strings.ContainsAny(name, "\\\x00\ufffd")
}

// parseEntries returns the files of a page of a listing.
func parseEntries(data []byte) ([]File, error) {
	var entries []entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("the hub's listing is not one: %w", err)
	}
	var files []File
	for _, e := range entries {
		if e.Type != "file" {
			continue
		}
		f, err := e.file()
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// Files lists the files of a commit, sorted by path.
func (c *Client) Files(ctx context.Context, r Repository, commit string) ([]File, error) {
	if err := r.Check(commit); err != nil {
		return nil, err
	}
	at := c.address("api", r.Kind.plural(), r.ID, "tree", commit)
	at.RawQuery = "recursive=true"
	var files []File
	read := map[string]bool{}
	for range maxPages {
		read[at.String()] = true
		var page json.RawMessage
		answer, err := c.getJSON(ctx, request{repository: r, revision: commit, address: at}, &page)
		if err != nil {
			return nil, err
		}
		of, err := parseEntries(page)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r, err)
		}
		files = append(files, of...)
		if len(files) > maxFiles {
			return nil, protocol.Invalid("%s has more than %d files; use a smaller repository", r, maxFiles)
		}
		next := nextPage(answer)
		if next == "" {
			return sorted(r, files)
		}
		if at, err = c.onEndpoint(at, next); err != nil {
			return nil, fmt.Errorf("%s: %w", r, err)
		}
		if read[at.String()] {
			return nil, fmt.Errorf("%s: the hub continues its listing at a page that was read before, %.200q", r, next)
		}
	}
	return nil, fmt.Errorf("%s: the hub's listing has no end after %d pages", r, maxPages)
}

func sorted(r Repository, files []File) ([]File, error) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for i := 1; i < len(files); i++ {
		if files[i].Path == files[i-1].Path {
			return nil, fmt.Errorf("%s: the hub lists the file %q twice", r, files[i].Path)
		}
	}
	return files, nil
}

// linkPattern matches the next page in a Link header: <URL>; rel="next".
var linkPattern = regexp.MustCompile(`<([^<>]*)>\s*;\s*rel="?next"?`)

func nextPage(header http.Header) string {
	for _, link := range header.Values("Link") {
		if m := linkPattern.FindStringSubmatch(link); m != nil {
			return m[1]
		}
	}
	return ""
}

// onEndpoint resolves an address that the hub names. Listings come from the endpoint alone.
func (c *Client) onEndpoint(at *url.URL, next string) (*url.URL, error) {
	u, err := at.Parse(next)
	if err != nil || u.Scheme != c.endpoint.Scheme || u.Host != c.endpoint.Host {
		return nil, fmt.Errorf("the hub continues its listing at %.200q; expected an address on %s", next, c.endpoint.Host)
	}
	return u, nil
}

// getJSON decodes an answer of the hub's interface.
func (c *Client) getJSON(ctx context.Context, r request, into any) (http.Header, error) {
	var header http.Header
	err := c.retry(ctx, r, func() error {
		answer, err := c.send(ctx, r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		data, err := bounded.ReadAll(answer.Body, maxAnswer)
		if err != nil {
			return &broken{err}
		}
		if err := json.Unmarshal(data, into); err != nil {
			return fmt.Errorf("%s: the hub's answer from %s is not JSON: %w; check HF_ENDPOINT", r.repository, r.address.Redacted(), err)
		}
		header = answer.Header
		return nil
	})
	return header, err
}

// address returns the address of parts below the endpoint.
func (c *Client) address(parts ...string) *url.URL {
	u := *c.endpoint
	for i, part := range parts {
		// Slashes within an ID and a path separate; those of a revision do not.
		segments := strings.Split(part, "/")
		if i > 0 && (parts[i-1] == "revision" || parts[i-1] == "tree" || parts[i-1] == "resolve") {
			segments = []string{part}
		}
		for _, s := range segments {
			u.RawPath = cmp.Or(u.RawPath, u.Path) + "/" + url.PathEscape(s)
			u.Path += "/" + s
		}
	}
	return &u
}

// Describe asks the hub for the size and the digest of one file of a commit.
func (c *Client) Describe(ctx context.Context, r Repository, commit, file string) (File, error) {
	if err := r.Check(commit); err != nil {
		return File{}, err
	}
	if !validName(file) {
		return File{}, protocol.Invalid("%s: file %q: expected a path within the repository, such as \"data/train.jsonl\"", r, file)
	}
	q := c.fileRequest(r, commit, file)
	q.method, q.noRedirect = http.MethodHead, true
	f := File{Path: file}
	err := c.retry(ctx, q, func() error {
		answer, err := c.send(ctx, q)
		if err != nil {
			return err
		}
		f, err = described(file, answer)
		return errors.Join(err, answer.Body.Close())
	})
	return f, err
}

// described reads the headers of an answer about a file.
func described(file string, answer *http.Response) (File, error) {
	f := File{Path: file, Bytes: answer.ContentLength}
	if size := answer.Header.Get("X-Linked-Size"); size != "" {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || n < 0 {
			return f, fmt.Errorf("file %s: the hub names the size %.100q; expected a number of bytes", file, size)
		}
		f.Bytes = n
	}
	etag := etagOf(answer.Header)
	switch {
	case sha256Pattern.MatchString(etag):
		f.SHA256 = etag
	case commitPattern.MatchString(etag):
		f.Blob = etag
	default:
		return f, fmt.Errorf("file %s: the hub names the digest %.100q; expected a SHA-256 or SHA-1 in hexadecimal", file, etag)
	}
	if f.Bytes < 0 {
		return f, fmt.Errorf("file %s: the hub does not name its size", file)
	}
	return f, nil
}

// etagOf returns the digest that the hub names for a file, without quotes.
func etagOf(h http.Header) string {
	etag := cmp.Or(h.Get("X-Linked-Etag"), h.Get("Etag"))
	return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
}
