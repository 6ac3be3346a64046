package materialize

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/unicode17"
	"surprisal.dev/runner/artifact"
)

// leakBytes is the length from which a target that occurs anywhere in its input is unlikely to be a coincidence.
const leakBytes = 16

// leaks reports whether an input contains its target.
func leaks(input, target string) bool {
	input, target = strings.TrimFunc(input, unicode17.IsSpace), strings.TrimFunc(target, unicode17.IsSpace)
	return target != "" && (strings.HasSuffix(input, target) || len(target) >= leakBytes && strings.Contains(input, target))
}

// straddles reports whether a token may hold the end of an input and the beginning of its target. Tokenizers do not
// divide words and numbers at known places, put a space into the token of the word or sign that follows it, and join
// white space.
func straddles(input, target string) bool {
	last, size := utf8.DecodeLastRuneInString(input)
	first, _ := utf8.DecodeRuneInString(target)
	if size == 0 {
		return false
	}
	switch before, after := unicode17.ClassOf(last), unicode17.ClassOf(first); {
	case last == ' ':
		return after != unicode17.Number
	case before == unicode17.Other:
		return false
	default:
		return before == after
	}
}

// seam quotes the text around the place where an input ends and its target begins.
func seam(input, target string) string {
	const around = 12
	if n := len(input) - around; n > 0 {
		for n < len(input) && !utf8.RuneStart(input[n]) {
			n++
		}
		input = input[n:]
	}
	if len(target) > around {
		target = truncate(target, around)
	}
	return fmt.Sprintf("%q + %q", input, target)
}

// template is a way to write a conversation as text. A text in it has all of its marks.
type template struct {
	name  string
	marks []string
	// lines is true if the marks count at the beginning of lines only, because prose has them elsewhere.
	lines bool
}

// templates are those of models for conversations, and of the data that they are tuned with.
var templates = []template{
	{name: "ChatML", marks: []string{"<|im_start|>"}},
	{name: "Llama 3", marks: []string{"<|start_header_id|>"}},
	{name: "Llama 2 and Mistral", marks: []string{"[INST]", "[/INST]"}},
	{name: "Gemma", marks: []string{"<start_of_turn>"}},
	{name: "Harmony", marks: []string{"<|start|>", "<|message|>"}},
	{name: "Zephyr, Phi and GLM", marks: []string{"<|user|>", "<|assistant|>"}},
	{name: "Command", marks: []string{"<|START_OF_TURN_TOKEN|>"}},
	{name: "DeepSeek", marks: []string{"<｜User｜>", "<｜Assistant｜>"}},
	{name: "Alpaca", marks: []string{"### Instruction:", "### Response:"}, lines: true},
	{name: "Human and Assistant", marks: []string{"Human:", "Assistant:"}, lines: true},
	{name: "User and Assistant", marks: []string{"User:", "Assistant:"}, lines: true},
}

// framing returns the template that a text is written in, or nil.
func framing(text string) *template {
	for i, t := range templates {
		if t.in(text) {
			return &templates[i]
		}
	}
	return nil
}

func (t template) in(text string) bool {
	for _, mark := range t.marks {
		if !t.marked(text, mark) {
			return false
		}
	}
	return true
}

func (t template) marked(text, mark string) bool {
	return strings.HasPrefix(text, mark) || !t.lines && strings.Contains(text, mark) || t.lines && strings.Contains(text, "\n"+mark)
}

// lint notes what is unusual about the current document, which is made from a row.
func (m *materializer) lint(row protocol.Row) {
	d := &m.document
	if t := framing(d.Text); t != nil {
		if m.metadata.ChatFramed == nil {
			m.metadata.ChatFramed = &artifact.ChatFramed{Template: t.name, Mark: t.marks[0], Example: placeOf(row)}
		}
		m.metadata.ChatFramed.Documents++
	}
	if input, target := d.Text[:d.ScoreStart], d.Text[d.ScoreStart:]; straddles(input, target) {
		if m.metadata.Straddling == nil {
			m.metadata.Straddling = &artifact.Straddling{Example: placeOf(row) + ": " + seam(input, target)}
		}
		m.metadata.Straddling.Documents++
	}
}
