package hubtest

import (
	"fmt"
	"io/fs"
	"strings"
)

// AddFS adds the repositories of a directory as they are on the branch main: KIND/OWNER/NAME/PATH, where KIND is models
// or datasets. A repository that is there already gets another commit.
func (s *Server) AddFS(fsys fs.FS) error {
	type name struct{ kind, id string }
	files := map[name]map[string]string{}
	var order []name
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		parts := strings.SplitN(path, "/", 4)
		if len(parts) < 4 || parts[0] != "models" && parts[0] != "datasets" {
			return fmt.Errorf("%s: expected models/OWNER/NAME/PATH or datasets/OWNER/NAME/PATH", path)
		}
		content, err := fs.ReadFile(fsys, path)
		if err != nil {
			return err
		}
		of := name{parts[0], parts[1] + "/" + parts[2]}
		if files[of] == nil {
			files[of] = map[string]string{}
			order = append(order, of)
		}
		files[of][parts[3]] = string(content)
		return nil
	})
	if err != nil {
		return err
	}
	for _, of := range order {
		r := s.repository(of.kind, of.id)
		if r == nil {
			r = s.Add(of.kind, of.id, Public)
		}
		r.Commit("main", files[of])
	}
	return nil
}

func (s *Server) repository(kind, id string) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repositories {
		if r.Kind == kind && r.ID == id {
			return r
		}
	}
	return nil
}
