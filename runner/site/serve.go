package site

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
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

// Server serves the files of a site.
type Server struct {
	root *os.Root
	// local means that only names of this machine are accepted.
	local bool
}

// Handler returns a server of a site at an address. If that is of this machine only, requests under another host name are
// refused, because a page on the web could otherwise read the site through a name that it controls.
func Handler(dir, address string) (*Server, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if _, err := readMarker(root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(invalid("address %q: want ADDRESS:PORT, such as 127.0.0.1:8000", address), root.Close())
	}
	return &Server{root, isLocal(host)}, nil
}

// Close closes the directory.
func (s *Server) Close() error { return s.root.Close() }

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
	// To open a named pipe waits for whoever writes to it.
	if info, err := s.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	f, err := s.root.Open(name)
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
