package hf

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"surprisal.dev/internal/glob"
	"surprisal.dev/plugins/hub"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/source"
)

const parquetExtension = ".parquet"

// lines are the extensions of JSON Lines.
var lines = []string{".jsonl", ".ndjson", ".json"}

// splits are names that mark a file as one of a split, if a repository does not say which files are.
var splits = []string{"train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation"}

// selection selects files of a commit.
type selection struct {
	config
	all []hub.File
}

// choose selects the files of the configuration, by its glob or by the rules of the package.
func (s selection) choose(card string) ([]hub.File, error) {
	if s.Files != "" {
		return s.globbed()
	}
	configs, err := parseCard(card)
	if err != nil {
		return nil, sdk.Invalid("%s: the metadata of its README.md cannot be read: %v; name the files instead: files: \"data/*.parquet\"", s.repository(), err)
	}
	if len(configs) > 0 {
		return s.declared(configs)
	}
	found, err := s.converted()
	if err != nil {
		return nil, err
	}
	for _, files := range [][]hub.File{found, s.named(), s.unsplit()} {
		if found := readable(files); len(found) > 0 {
			return found, nil
		}
	}
	return nil, s.nothing(fmt.Sprintf("no Parquet or JSON Lines file belongs to %s", s.what()))
}

func (s selection) what() string {
	if s.Config != "" {
		return fmt.Sprintf("config %q and split %q", s.Config, s.Split)
	}
	return fmt.Sprintf("split %q", s.Split)
}

// nothing explains that no file was found.
func (s selection) nothing(reason string) error {
	names := make([]string, len(s.all))
	for i, f := range s.all {
		names[i] = f.Path
	}
	has := "; the repository is empty"
	if len(names) > 0 {
		has = "; it contains " + source.Candidates(s.Config+"/"+s.Split+parquetExtension, names)
	}
	advice := `; name the files: files: "data/*.parquet"`
	if !strings.HasPrefix(s.Revision, "refs/convert/") && !hub.IsCommit(s.Revision) {
		advice += `, or read the hub's own conversion: revision: "refs/convert/parquet"`
	}
	return sdk.Invalid("%s, revision %s: %s%s%s", s.repository(), s.Revision, reason, has, advice)
}

// matching returns the files that one of several globs matches.
func (s selection) matching(patterns ...string) ([]hub.File, error) {
	var found []hub.File
	for _, pattern := range patterns {
		g, err := glob.Parse(strings.TrimPrefix(pattern, "./"))
		if err != nil {
			return nil, sdk.Invalid("%s: path %.200q %v", s.repository(), pattern, err)
		}
		for _, f := range s.all {
			if g.Match(f.Path) {
				found = append(found, f)
			}
		}
	}
	slices.SortFunc(found, func(a, b hub.File) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(found, func(a, b hub.File) bool { return a.Path == b.Path }), nil
}

// globbed applies the glob of the configuration.
func (s selection) globbed() ([]hub.File, error) {
	found, err := s.matching(s.Files)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, s.nothing(fmt.Sprintf("no file matches %q", s.Files))
	}
	for _, f := range found {
		if kindOf(f.Path) == "" {
			return nil, sdk.Invalid("%s: files %q match %s, which is neither Parquet nor JSON Lines (%s); use a narrower glob",
				s.repository(), s.Files, f.Path, strings.Join(lines, ", "))
		}
	}
	return found, nil
}

// kindOf returns the format of a file by its name, or "".
func kindOf(name string) string {
	name = strings.ToLower(name)
	if strings.HasSuffix(name, parquetExtension) {
		return parquetExtension
	}
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
	if ext := path.Ext(name); slices.Contains(lines, ext) {
		return ext
	}
	return ""
}

// readable returns the files in a format that can be read: those in Parquet, or the others.
func readable(files []hub.File) []hub.File {
	var columns, text []hub.File
	for _, f := range files {
		switch kindOf(f.Path) {
		case parquetExtension:
			columns = append(columns, f)
		case "":
		default:
			text = append(text, f)
		}
	}
	if len(columns) > 0 {
		return columns
	}
	return text
}

// declaration is a configuration in the metadata of README.md.
type declaration struct {
	Name    string    `yaml:"config_name"`
	Files   yaml.Node `yaml:"data_files"`
	Dir     string    `yaml:"data_dir"`
	Default bool      `yaml:"default"`
}

// maxCard is the maximum size of the metadata in bytes. Aliases in YAML can make little text large.
const maxCard = 8 << 20

// parseCard returns the configurations in the metadata of a README.md that name their files.
func parseCard(card string) ([]declaration, error) {
	card = strings.ReplaceAll(strings.TrimPrefix(card, "\ufeff"), "\r\n", "\n")
	rest, ok := strings.CutPrefix(card, "---\n")
	if !ok {
		return nil, nil
	}
	text, _, ok := strings.Cut(rest, "\n---")
	if !ok {
		return nil, nil
	}
	if len(text) > maxCard {
		return nil, fmt.Errorf("it has %d bytes; at most %d are read", len(text), maxCard)
	}
	var metadata struct {
		Configs []declaration `yaml:"configs"`
	}
	if err := yaml.Unmarshal([]byte(text), &metadata); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(metadata.Configs, func(d declaration) bool { return d.Files.Kind == 0 }), nil
}

// patterns returns the globs of each split.
func (d declaration) patterns() (map[string][]string, error) {
	var list []string
	if err := d.Files.Decode(&list); err == nil {
		return map[string][]string{"train": list}, nil
	}
	var one string
	if err := d.Files.Decode(&one); err == nil {
		return map[string][]string{"train": {one}}, nil
	}
	var entries []struct {
		Split string    `yaml:"split"`
		Path  yaml.Node `yaml:"path"`
	}
	if err := d.Files.Decode(&entries); err != nil {
		return nil, err
	}
	globs := map[string][]string{}
	for _, e := range entries {
		var paths []string
		if err := e.Path.Decode(&paths); err != nil {
			if err := e.Path.Decode(&one); err != nil {
				return nil, errors.New("data_files: path is neither a text nor a list of texts")
			}
			paths = []string{one}
		}
		globs[e.Split] = append(globs[e.Split], paths...)
	}
	return globs, nil
}

// declared applies the configurations of README.md.
func (s selection) declared(configs []declaration) ([]hub.File, error) {
	d, err := s.declaration(configs)
	if err != nil {
		return nil, err
	}
	globs, err := d.patterns()
	if err != nil {
		return nil, sdk.Invalid("%s: config %q of its README.md: %v", s.repository(), d.Name, err)
	}
	if globs[s.Split] == nil {
		return nil, sdk.Invalid("%s: config %q has no split %q; splits are %s", s.repository(), d.Name, s.Split, strings.Join(slices.Sorted(maps.Keys(globs)), ", "))
	}
	patterns := slices.Clone(globs[s.Split])
	for i := range patterns {
		patterns[i] = path.Join(d.Dir, patterns[i])
	}
	found, err := s.matching(patterns...)
	if err != nil {
		return nil, err
	}
	if found = readable(found); len(found) == 0 {
		return nil, s.nothing(fmt.Sprintf("its README.md names the files %s for %s, and none of them is Parquet or JSON Lines", strings.Join(patterns, ", "), s.what()))
	}
	return found, nil
}

// declaration returns the configuration that is asked for.
func (s selection) declaration(configs []declaration) (declaration, error) {
	names := make([]string, len(configs))
	for i, d := range configs {
		names[i] = d.Name
		if s.Config == d.Name || s.Config == "" && (d.Default || d.Name == "default" || len(configs) == 1) {
			return d, nil
		}
	}
	if s.Config == "" {
		return declaration{}, s.several(names)
	}
	return declaration{}, sdk.Invalid("%s has no config %q; configs are %s", s.repository(), s.Config, source.Candidates(s.Config, names))
}

// convertedPattern matches the files of the hub's own conversion. A conversion of a part of a split is in partial-SPLIT.
var convertedPattern = regexp.MustCompile(`^([^/]+)/(?:partial-)?([^/]+)/\d{4,}\.parquet$`)

// converted applies the layout of the hub's own conversion.
func (s selection) converted() ([]hub.File, error) {
	found := map[string][]hub.File{}
	for _, f := range s.all {
		if m := convertedPattern.FindStringSubmatch(f.Path); m != nil && m[2] == s.Split {
			found[m[1]] = append(found[m[1]], f)
		}
	}
	names := slices.Sorted(maps.Keys(found))
	switch {
	case s.Config != "":
		return found[s.Config], nil
	case len(names) == 1:
		return found[names[0]], nil
	case len(names) > 1 && found["default"] == nil:
		return nil, s.several(names)
	}
	return found["default"], nil
}

// several explains that a configuration has to be chosen.
func (s selection) several(names []string) error {
	return sdk.Invalid("%s has several configs; set config to one of %s", s.repository(), source.Candidates("default", names))
}

// named returns the files that are named after the split, in a directory named after the configuration.
func (s selection) named() []hub.File {
	var found []hub.File
	for _, f := range s.all {
		if s.inConfig(f.Path) && isOf(f.Path, s.Split) {
			found = append(found, f)
		}
	}
	return found
}

func (s selection) inConfig(file string) bool {
	return s.Config == "" || slices.Contains(strings.Split(path.Dir(file), "/"), s.Config)
}

// isOf reports whether a part of a path is a name, or begins with it before ".", "-" or "_".
func isOf(file, name string) bool {
	return slices.ContainsFunc(strings.Split(file, "/"), func(part string) bool {
		rest, ok := strings.CutPrefix(part, name)
		return ok && (rest == "" || strings.ContainsRune(".-_", rune(rest[0])))
	})
}

// unsplit returns all files for the split "train", if none is named after a split.
func (s selection) unsplit() []hub.File {
	if s.Split != "train" {
		return nil
	}
	var found []hub.File
	for _, f := range s.all {
		if !s.inConfig(f.Path) || kindOf(f.Path) == "" {
			continue
		}
		if slices.ContainsFunc(splits, func(name string) bool { return isOf(f.Path, name) }) {
			return nil
		}
		found = append(found, f)
	}
	return found
}
