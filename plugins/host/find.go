package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
)

var pluginName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// find returns the command that starts a plugin. Its errors have kind InvalidInput.
func (h *Host) find(kind protocol.Kind, name string) ([]string, error) {
	invalid := func(format string, values ...any) error {
		return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, values...)}
	}
	if !pluginName.MatchString(name) {
		return nil, invalid("%s %q: a plugin's name consists of letters, digits, '_', '-' and '.'", kind, name)
	}
	file := fmt.Sprintf("runner-%s-%s", kind, name)
	var found []string // programs
	var locked []string
	for _, dir := range h.dirs() {
		path := filepath.Join(dir, file)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		case err != nil:
			return nil, fmt.Errorf("%s %q: %w", kind, name, err)
		case info.IsDir():
		case info.Mode().Perm()&0o111 == 0:
			locked = append(locked, path)
		case !slices.ContainsFunc(found, func(other string) bool { return sameFile(other, path) }):
			found = append(found, path)
		}
	}
	builtin := slices.Contains(h.builtin(kind), name)
	switch {
	case builtin && len(found) > 0:
		return nil, invalid("%s %q is built in, and %s has the same name; rename or remove that file", kind, name, found[0])
	case len(found) > 1:
		return nil, invalid("%s %q is ambiguous: %s; remove all but one", kind, name, strings.Join(found, " and "))
	case len(found) == 1:
		return found, nil
	case builtin:
		program, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("%s %q is built in, but the runner's own binary cannot be found: %w", kind, name, err)
		}
		return []string{program, "plugin", "serve", string(kind), name}, nil
	case len(locked) > 0:
		return nil, invalid("%s %q: %s is not executable; run chmod +x on it", kind, name, locked[0])
	}
	known := "none is known"
	if names := h.Names(kind); len(names) > 0 {
		known = "known are " + strings.Join(names, ", ")
	}
	return nil, invalid("no %s is called %q; %s; to add one, place a program called %s next to runner, on the PATH or in a --plugins directory", kind, name, known, file)
}

// Names returns the sorted names of all plugins of a kind, including those that cannot be started.
func (h *Host) Names(kind protocol.Kind) []string {
	names := slices.Clone(h.builtin(kind))
	prefix := fmt.Sprintf("runner-%s-", kind)
	for _, dir := range h.dirs() {
		// A directory on the PATH that cannot be read has no plugin that could be started.
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			name, ok := strings.CutPrefix(entry.Name(), prefix)
			if info, err := os.Stat(filepath.Join(dir, entry.Name())); ok && err == nil && !info.IsDir() {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (h *Host) builtin(kind protocol.Kind) []string {
	if kind == protocol.KindProvider {
		return h.options.Providers
	}
	return h.options.Backends
}

// dirs returns the plugin search path. Relative directories on the PATH are ignored, as they are for other programs.
func (h *Host) dirs() []string {
	return slices.Concat(h.options.SearchDirs,
		slices.DeleteFunc(filepath.SplitList(os.Getenv("PATH")), func(dir string) bool { return !filepath.IsAbs(dir) }))
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}
