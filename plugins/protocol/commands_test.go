package protocol

import "testing"

func TestWithoutCommands(t *testing.T) {
	for text, want := range map[string]string{
		"a\n::error::b\n":         "a\n:\\:error::b\n",
		" \t::set-output::\n":     " \t:\\:set-output::\n",
		"| `##vso[task.x]` |":     "| `#\\#vso[task.x]` |",
		"a ##[group]b":            "a #\\#[group]b",
		"###teamcity[x":           "##\\#teamcity[x",
		"## Title\n\nstd::string": "## Title\n\nstd::string",
		"plain [text]\n":          "plain [text]\n",
		"":                        "",
	} {
		if got := TextWithoutCommands(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
