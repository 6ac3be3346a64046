package protocol

import (
	"encoding/xml"
	"errors"
	"testing"
)

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

// A document without commands holds the same text.
func TestXMLWithoutCommands(t *testing.T) {
	type element struct {
		Name string `xml:"name,attr"`
		Text string `xml:",chardata"`
	}
	for document, want := range map[string]string{
		`<e name="##vso[task.x]y">##[group]</e>`:        `<e name="#&#35;vso[task.x]y">#&#35;[group]</e>`,
		`<e name="a ###[group]">###teamcity[x</e>`:      `<e name="a ##&#35;[group]">##&#35;teamcity[x</e>`,
		"<e name=\"::x::\">::a\n ::error::b\n::c\n</e>": "<e name=\"::x::\">::a\n :&#58;error::b\n:&#58;c\n</e>",
		`<e name="std::string">## [x] &amp;</e>`:        `<e name="std::string">## [x] &amp;</e>`,
	} {
		got := string(XMLWithoutCommands([]byte(document)))
		var before, after element
		if err := errors.Join(xml.Unmarshal([]byte(document), &before), xml.Unmarshal([]byte(got), &after)); err != nil {
			t.Fatal(err)
		}
		if got != want || before != after {
			t.Errorf("%s became %s, want %s; the text %q became %q", document, got, want, before, after)
		}
	}
}
