package spec_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	. "surprisal.dev/runner/spec"
)

func TestWriteSchema(t *testing.T) {
	var b bytes.Buffer
	if err := WriteSchema(&b, plugins()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"// surprisal.dev/experiment/experiment.cue\n", "#Experiment: {", "// datasets by name.",
		"// surprisal.dev/providers/text/config.cue\n", "// path is a file or glob, or a list of them.",
		"// surprisal.dev/backends/ngram/config.cue\n", "#Order: int & >=1 & <=12",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the schema has no %q", want)
		}
	}
}

// TestBadPluginSchema checks that a mistake of a plugin is not reported as one of the spec.
func TestBadPluginSchema(t *testing.T) {
	tests := []struct{ schema, want string }{
		{"#Config: {", "the schema of provider odd is not valid CUE; this is a bug in the plugin: "},
		{"#Config: missing", `reference "missing" not found`},
		{"#Configuration: {}", "#Config is not defined"},
		{"", "#Config is not defined"},
		{"import \"example.com/other\"\n#Config: other.#Config", "other"},
	}
	for _, test := range tests {
		_, err := Load(t.Context(), t.TempDir(), Options{Providers: map[string]Schema{"odd": {CUE: test.schema}}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: found %v; want %s", test.schema, err, test.want)
		}
		if _, blamed := errors.AsType[Errors](err); blamed {
			t.Errorf("%q: the spec is blamed: %v", test.schema, err)
		}
	}
}

// TestPluginNames checks that the name of a plugin need not be a CUE identifier, and may be that of a CUE builtin.
func TestPluginNames(t *testing.T) {
	schemas := map[string]Schema{}
	for _, name := range []string{"text", "my-plugin", "len", "import", "string", "experiment"} {
		schemas[name] = Schema{CUE: `import "strings"
			#Config: path!: strings.MinRunes(2)`}
	}
	dir := t.TempDir()
	source := "package x\nname: \"a\"\nmodels: m: backend: len: path: \"ab\"\n"
	for name := range schemas {
		source += "datasets: " + strings.ReplaceAll(name, "-", "_") + ": source: \"" + name + "\": path: \"ab\"\n"
	}
	writeFile(t, dir+"/x.cue", source)
	e, err := Load(t.Context(), dir, Options{Providers: schemas, Backends: schemas})
	if err != nil || len(e.Datasets) != len(schemas) {
		t.Errorf("%+v %v", e, err)
	}
}

// CheckSchema accepts sources that define #Config, and describes the problem of others.
func TestCheckSchema(t *testing.T) {
	for schema, want := range map[string]string{
		"#Config: {}": "", "package other\n#Config: path!: string": "", "#Config: {": "expected '}'", "#Configuration: {}": "#Config is not defined", "#Config: x": `reference "x" not found`,
	} {
		if err := CheckSchema(schema); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", schema, err, want)
		}
	}
}
