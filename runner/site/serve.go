package site

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"time"
)

// Is reports whether a directory is a site that Export wrote.
func Is(dir string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	_, err = readMarker(root)
	return err == nil
}

// Server serves the files of a site. When an export replaces the site, it serves the new one.
type Server struct {
	dir string
	// mutex guards root, the directory that was found at dir last.
	mutex sync.RWMutex
	root  *os.Root
	// local means that only names of this machine are accepted.
	local bool
}

// Handler returns a server of a site at an address. If that is of this machine only, requests under another host name are
// refused, because a page on the web could otherwise read the site through a name that it controls.
func Handler(dir, address string) (*Server, error) {
	root, err := openSite(dir)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(invalid("address %q: want ADDRESS:PORT, such as 127.0.0.1:8000", address), root.Close())
	}
	return &Server{dir: dir, root: root, local: isLocal(host)}, nil
}

func openSite(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if _, err := readMarker(root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// Close closes the directory.
func (s *Server) Close() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.root.Close()
}

// refresh opens the directory that is at dir now, if it is another site than before. Without a site there, the one before
// stays.
func (s *Server) refresh() {
	now, err := os.Stat(s.dir)
	if err != nil {
		return
	}
	s.mutex.RLock()
	before, err := s.root.Stat(".")
	s.mutex.RUnlock()
	if err == nil && os.SameFile(before, now) {
		return
	}
	root, err := openSite(s.dir)
	if err != nil {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_ = s.root.Close() // It was only read.
	s.root = root
}

// open opens a regular file: to open a named pipe waits for whoever writes to it.
func (s *Server) open(name string) (*os.File, error) {
	s.refresh()
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	if info, err := s.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrNotExist)
	}
	return s.root.Open(name)
}

func isLocal(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// types are the media types of the files of a site. They do not depend on the machine.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".parquet": "application/vnd.apache.parquet", ".svg": "image/svg+xml", ".png": "image/png",
	".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8", ".map": "application/json",
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed", http.StatusMethodNotAllowed)
		return
	}
	if host, _, err := net.SplitHostPort(r.Host); s.local && !isLocal(r.Host) && (err != nil || !isLocal(host)) {
		http.Error(w, "this server answers only under the name localhost", http.StatusForbidden)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if name == "" {
		name = "index.html"
	}
	f, err := s.open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	s.headers(w.Header(), name)
	http.ServeContent(w, r, name, time.Time{}, f)
}

func (s *Server) headers(h http.Header, name string) {
	kind := types[path.Ext(name)]
	if kind == "" {
		kind = "application/octet-stream"
	}
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	dir, file := path.Split(name)
	if dir == dataDir+"/" {
		// The name is the digest of the content.
		h.Set("ETag", `"`+strings.TrimSuffix(file, path.Ext(file))+`"`)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
}
