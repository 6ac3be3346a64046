package hubtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Token is the token that may read gated and private repositories.
const Token = "hf_token_of_the_test"

// Server is a hub. Large files are served by a second server, to which the hub redirects.
type Server struct {
	// URL is the endpoint of the hub.
	URL string
	// PageSize is the number of entries in a page of a listing.
	PageSize int

	hub, storage *httptest.Server
	mu           sync.Mutex
	repositories []*Repository
	fault        func(http.ResponseWriter, *http.Request) bool
	requests     []Request
}

// Request is a request that a Server got.
type Request struct {
	Method, Path, Range, Token string
	// Storage is true for requests to the server of large files.
	Storage bool
}

// New starts a server. Close stops it.
func New() *Server {
	s := &Server{PageSize: 1000}
	s.storage = httptest.NewUnstartedServer(s.handler(true, s.stored))
	// Clients treat redirects to another host differently: another port is not another host to all of them.
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		panic(err) // a test cannot continue, as in httptest
	}
	if err := s.storage.Listener.Close(); err != nil {
		panic(err)
	}
	s.storage.Listener = listener
	s.storage.Start()
	s.hub = httptest.NewServer(s.handler(false, s.route))
	s.URL = s.hub.URL
	return s
}

// Close stops the server.
func (s *Server) Close() {
	s.hub.Close()
	s.storage.Close()
}

// Add adds an empty repository. The kind is "models" or "datasets".
func (s *Server) Add(kind, id string, access Access) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Repository{Kind: kind, ID: id, Access: access, commits: map[string]map[string]string{}, refs: map[string]string{}}
	s.repositories = append(s.repositories, r)
	return r
}

// Fail sets a function that is called before each request; if it returns true, it has answered. Nil removes it.
func (s *Server) Fail(fault func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Requests returns the requests since the last call.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.requests
	s.requests = nil
	return got
}

func (s *Server) handler(storage bool, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, Request{
			Method: r.Method, Path: r.URL.Path, Range: r.Header.Get("Range"), Storage: storage,
			Token: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "),
		})
		fault := s.fault
		s.mu.Unlock()
		if fault != nil && fault(w, r) {
			return
		}
		next(w, r)
	})
}

// route answers a request to the hub.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(r.URL.EscapedPath(), "/")
	parts := strings.Split(path, "/")
	if parts[0] == "api" && len(parts) == 2 {
		s.list(w, r, parts[1])
		return
	}
	repository, rest := s.find(parts)
	if repository == nil || repository.Access == Private && !authorized(r) {
		refuse(w, http.StatusUnauthorized, "RepoNotFound", "Repository not found")
		return
	}
	action, rest := rest[0], rest[1:]
	revision := "main"
	if len(rest) > 0 {
		revision, _ = url.PathUnescape(rest[0]) // the server has decoded the whole path before
		rest = rest[1:]
	}
	commit := repository.at(revision)
	if commit == "" {
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
		return
	}
	name, _ := url.PathUnescape(strings.Join(rest, "/"))
	switch action {
	case "info", "revision":
		s.info(w, repository, commit)
	case "tree":
		s.tree(w, r, repository, commit, name)
	case "refs":
		branches(w, repository)
	case "resolve":
		s.resolve(w, r, repository, commit, name)
	default:
		http.NotFound(w, r)
	}
}

// find returns the repository that a path names, and the rest of the path: an action, a revision and a file.
func (s *Server) find(parts []string) (*Repository, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, api := "models", parts[0] == "api"
	if api {
		kind, parts = parts[1], parts[2:]
	} else if parts[0] == "datasets" {
		kind, parts = parts[0], parts[1:]
	}
	for _, r := range s.repositories {
		n := 1 + strings.Count(r.ID, "/")
		if r.Kind != kind || len(parts) < n || strings.Join(parts[:n], "/") != r.ID {
			continue
		}
		if rest := parts[n:]; len(rest) > 0 {
			return r, rest
		}
		return r, []string{"info"}
	}
	return nil, nil
}

func authorized(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+Token }

// refuse answers with a failure, as the hub does.
func refuse(w http.ResponseWriter, status int, code, message string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", message)
	answer(w, status, map[string]string{"error": message})
}

func answer(w http.ResponseWriter, status int, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // the values are the server's own
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // the client may be gone
}

type sibling struct {
	Name string `json:"rfilename"`
}

type information struct {
	ID       string    `json:"id"`
	SHA      string    `json:"sha"`
	Private  bool      `json:"private"`
	Gated    any       `json:"gated"`
	Siblings []sibling `json:"siblings,omitempty"`
	Tags     []string  `json:"tags"`
	Modified string    `json:"lastModified"`
}

func (r *Repository) information(commit string) information {
	i := information{ID: r.ID, SHA: commit, Private: r.Access == Private, Gated: false, Tags: []string{}, Modified: "2026-01-02T03:04:05.000Z"}
	if r.Access == Gated {
		i.Gated = "manual"
	}
	for _, name := range slices.Sorted(maps.Keys(r.commits[commit])) {
		i.Siblings = append(i.Siblings, sibling{name})
	}
	return i
}

// list answers with the public repositories of a kind.
func (s *Server) list(w http.ResponseWriter, r *http.Request, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []information{}
	for _, x := range s.repositories {
		if x.Kind == kind && x.Access != Private && strings.Contains(x.ID, r.URL.Query().Get("search")) {
			i := x.information(x.at("main"))
			i.Siblings = nil
			all = append(all, i)
		}
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor")) // absent on the first page
	s.page(w, r, len(all), from)
	answer(w, http.StatusOK, all[from:min(from+s.PageSize, len(all))])
}

// page sets the address of the next page.
func (s *Server) page(w http.ResponseWriter, r *http.Request, n, from int) {
	if from+s.PageSize >= n {
		return
	}
	query := r.URL.Query()
	query.Set("cursor", strconv.Itoa(from+s.PageSize))
	w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, s.URL, r.URL.EscapedPath(), query.Encode()))
}

func (s *Server) info(w http.ResponseWriter, r *Repository, commit string) {
	answer(w, http.StatusOK, r.information(commit))
}

func branches(w http.ResponseWriter, r *Repository) {
	type ref struct {
		Name   string `json:"name"`
		Ref    string `json:"ref"`
		Commit string `json:"targetCommit"`
	}
	all := map[string][]ref{"branches": {}, "converts": {}, "tags": {}}
	for _, name := range slices.Sorted(maps.Keys(r.refs)) {
		kind, full := "branches", "refs/heads/"+name
		if strings.HasPrefix(name, "refs/convert/") {
			kind, full = "converts", name
		}
		all[kind] = append(all[kind], ref{strings.TrimPrefix(name, "refs/convert/"), full, r.refs[name]})
	}
	answer(w, http.StatusOK, all)
}

type large struct {
	OID     string `json:"oid"`
	Size    int    `json:"size"`
	Pointer int    `json:"pointerSize"`
}

type node struct {
	Type string `json:"type"`
	OID  string `json:"oid"`
	Size int    `json:"size"`
	Path string `json:"path"`
	LFS  *large `json:"lfs,omitempty"`
}

// tree lists the files and directories below dir.
func (s *Server) tree(w http.ResponseWriter, r *http.Request, repository *Repository, commit, dir string) {
	recursive := strings.EqualFold(r.URL.Query().Get("recursive"), "true") || r.URL.Query().Get("recursive") == "1"
	nodes := nodesOf(repository.commits[commit], dir, recursive)
	if dir != "" && len(nodes) == 0 {
		refuse(w, http.StatusNotFound, "EntryNotFound", dir+" does not exist on \""+commit+"\"")
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor")) // absent on the first page
	s.page(w, r, len(nodes), from)
	answer(w, http.StatusOK, nodes[from:min(from+s.PageSize, len(nodes))])
}

func nodesOf(files map[string]string, dir string, recursive bool) []node {
	nodes := []node{}
	directories := map[string]bool{}
	prefix := ""
	if dir != "" {
		prefix = dir + "/"
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		for i, c := range rest {
			if c != '/' {
				continue
			}
			if at := prefix + rest[:i]; !directories[at] && (recursive || !strings.Contains(rest[:i], "/")) {
				directories[at] = true
				nodes = append(nodes, node{Type: "directory", OID: Blob(at), Path: at})
			}
		}
		if !recursive && strings.Contains(rest, "/") {
			continue
		}
		content := files[name]
		n := node{Type: "file", OID: Blob(content), Size: len(content), Path: name}
		if IsLarge(name) {
			pointer := fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", SHA256(content), len(content))
			n.OID, n.LFS = Blob(pointer), &large{SHA256(content), len(content), len(pointer)}
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// resolve answers with a file, or redirects to the storage of large files.
func (s *Server) resolve(w http.ResponseWriter, r *http.Request, repository *Repository, commit, name string) {
	w.Header().Set("X-Repo-Commit", commit)
	if repository.Access == Gated && !authorized(r) {
		status := http.StatusUnauthorized
		if r.Header.Get("Authorization") != "" {
			status = http.StatusForbidden
		}
		refuse(w, status, "GatedRepo", "Access to "+repository.Kind+" "+repository.ID+" is restricted.")
		return
	}
	content, ok := repository.commits[commit][name]
	if !ok {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	if !IsLarge(name) {
		w.Header().Set("Etag", `"`+Blob(content)+`"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		return
	}
	digest := SHA256(content)
	w.Header().Set("X-Linked-Etag", `"`+digest+`"`)
	w.Header().Set("X-Linked-Size", strconv.Itoa(len(content)))
	w.Header().Set("Location", s.storage.URL+"/"+digest+"?signature=of-the-hub")
	w.WriteHeader(http.StatusFound)
}

// stored answers with a large file, by its digest.
func (s *Server) stored(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("signature") == "" || r.Header.Get("Authorization") != "" {
		http.Error(w, "signed addresses only, and no other credentials", http.StatusForbidden)
		return
	}
	content, ok := s.large(strings.Trim(r.URL.Path, "/"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Etag", `"of-the-storage"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
}

func (s *Server) large(digest string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repositories {
		for _, files := range r.commits {
			for name, content := range files {
				if IsLarge(name) && SHA256(content) == digest {
					return content, true
				}
			}
		}
	}
	return "", false
}
