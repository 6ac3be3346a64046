package materialize

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/unicode17"
	"surprisal.dev/runner/artifact"
)

// Sizes of a target by which it is given away, in bytes. Extractive tasks have short targets anywhere in their inputs,
// inputs that list the possible answers end with one of them, and some texts need no correction.
const (
	// givenBytes is the size from which a target may be given away not only at the end of its input, but also near it, or
	// as half of the input.
	givenBytes = 16
	// givenAnywhere is the size from which a target is given away by an input that has it anywhere.
	givenAnywhere = 256
	// endBytes is the size of what may follow a target at the end of its input, such as a sign or a closing tag.
	endBytes = 16
)

// leak is how an input gives its target away.
type leak int8

const (
	notGiven leak = iota
	// maybeGiven is a target that its input ends with, or mostly has. If most rows have one, it is given away.
	maybeGiven
	given
)

// leakOf returns whether an input gives its target away.
func leakOf(input, target string) leak {
	input, target = strings.TrimFunc(input, unicode17.IsSpace), strings.TrimFunc(target, unicode17.IsSpace)
	at := strings.LastIndex(input, target)
	switch {
	case target == "" || at < 0:
		return notGiven
	case len(target) >= givenAnywhere:
		return given
	case strings.HasSuffix(input, target):
		return maybeGiven
	case len(target) >= givenBytes && (len(input)-at-len(target) <= endBytes || 2*len(target) >= len(input)):
		return maybeGiven
	}
	return notGiven
}

// straddles reports whether a token may hold the end of an input and the beginning of its target, by the expressions with
// which the tokenizers of GPT-2, Llama 3, Qwen 3 and gpt-oss, and those of SentencePiece, divide text. Words and numbers
// are divided at unknown places. A sign takes signs, line breaks and the letters of a word into its token, a space what
// follows it, and a line break the white space up to the last line break. What follows that is divided from it.
func straddles(input, target string) bool {
	last, size := utf8.DecodeLastRuneInString(input)
	first, _ := utf8.DecodeRuneInString(target)
	if size == 0 {
		return false
	}
	after := unicode17.ClassOf(first)
	switch before := unicode17.ClassOf(last); {
	case breaksLine(last):
		blank := len(target) - len(strings.TrimLeftFunc(target, unicode17.IsSpace))
		return strings.ContainsFunc(target[:blank], breaksLine)
	case last == ' ':
		return true
	case before == unicode17.Space:
		return after == unicode17.Space || inWord(after)
	case before == unicode17.Other:
		return after == unicode17.Other || inWord(after) || breaksLine(first)
	case inWord(before):
		return inWord(after)
	default:
		return before == after
	}
}

func breaksLine(r rune) bool { return r == '\n' || r == '\r' }

func inWord(c unicode17.Class) bool { return c == unicode17.Letter || c == unicode17.Mark }

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

// template is a way to write a conversation as text. A text in it has a turn, whose mark begins the text or a line, and
// what follows that in a conversation: the end of the turn, or the turn of the other role. Text about a template quotes
// a mark within a sentence.
type template struct {
	name string
	// turn begins a turn. A line may have other special tokens before it.
	turn string
	// then comes after turn.
	then string
	// lines is true if then counts at the beginning of a line only.
	lines bool
	// words is true if the marks are words that lists of terms have, too. Then the turn occurs again after then, or the
	// text begins with a turn and has no line that begins with another term.
	words bool
	// within has the characters after which a turn may begin within a line.
	within string
}

// templates are those of models for conversations, and of the data that they are tuned with.
var templates = []template{
	{name: "ChatML", turn: "<|im_start|>", then: "<|im_end|>"},
	{name: "Llama 3", turn: "<|start_header_id|>", then: "<|end_header_id|>"},
	{name: "Llama 4", turn: "<|header_start|>", then: "<|header_end|>"},
	{name: "Llama 2 and Mistral", turn: "[INST]", then: "[/INST]", within: "]"},
	{name: "Gemma", turn: "<start_of_turn>", then: "<end_of_turn>"},
	{name: "Harmony", turn: "<|start|>", then: "<|message|>"},
	{name: "Kimi", turn: "<|im_user|>", then: "<|im_middle|>", within: ">"},
	{name: "Zephyr, Phi and GLM", turn: "<|user|>", then: "<|assistant|>"},
	{name: "Command", turn: "<|START_OF_TURN_TOKEN|>", then: "<|END_OF_TURN_TOKEN|>"},
	{name: "DeepSeek", turn: "<｜User｜>", then: "<｜Assistant｜>", within: ".!?>"},
	{name: "Alpaca", turn: "### Instruction:", then: "### Response:", lines: true},
	{name: "Guanaco", turn: "### Human:", then: "### Assistant:", lines: true},
	{name: "Vicuna", turn: "USER: ", then: " ASSISTANT:", within: " >"},
	{name: "Vicuna", turn: "USER:", then: "ASSISTANT:", lines: true},
	{name: "Human and Assistant", turn: "Human:", then: "Assistant:", lines: true, words: true},
	{name: "User and Assistant", turn: "User:", then: "Assistant:", lines: true, words: true},
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
	text = strings.TrimLeftFunc(text, func(r rune) bool { return unicode17.IsSpace(r) || r == byteOrderMark })
	turn := t.find(text)
	if turn < 0 {
		return false
	}
	answer := following(text[turn:], t.then, t.lines)
	if answer < 0 || !t.words {
		return answer >= 0
	}
	return following(text[turn+answer:], t.turn, true) >= 0 || (turn == 0 || strings.HasPrefix(text, systemTurn)) && t.alone(text)
}

const systemTurn = "System:"

// byteOrderMark begins files of some programs.
const byteOrderMark = '\ufeff'

// alone reports whether all terms with a colon at the beginning of a line are marks of the template.
func (t template) alone(text string) bool {
	for line := range strings.Lines(text) {
		name, _, found := strings.Cut(line, ":")
		if !found {
			continue
		}
		if mark := line[:len(name)+1]; mark != t.turn && mark != t.then && mark != systemTurn && term.MatchString(name) {
			return false
		}
	}
	return true
}

// term is what a line has before its first colon.
var term = regexp.MustCompile(`^\p{Lu}\w*( \w+)?$`)

// find returns the index of the first turn, or -1.
func (t template) find(text string) int {
	line, from := 0, 0
	for {
		n := strings.Index(text[from:], t.turn)
		if n < 0 {
			return -1
		}
		at := from + n
		if feed := strings.LastIndexByte(text[from:at], '\n'); feed >= 0 {
			line = from + feed + 1
		}
		if before := text[line:at]; len(before) <= maxSpecial && special.MatchString(before) ||
			strings.ContainsRune(t.within, rune(text[at-1])) {
			return at
		}
		from = at + len(t.turn)
	}
}

// special are special tokens before the first turn, such as "<s>" or "<|begin_of_text|>".
var special = regexp.MustCompile(`^(<[^<>\s]*> ?)*$`)

const maxSpecial = 64

// following returns the index of a mark in the text after a turn, or -1.
func following(text, mark string, lines bool) int {
	if lines {
		mark = "\n" + mark
	}
	return strings.Index(text, mark)
}

// lint notes what is unusual about the current document, which is made from a row.
func (m *materializer) lint(row protocol.Row) {
	d := &m.document
	if t := framing(d.Text); t != nil {
		if m.metadata.ChatFramed == nil {
			m.metadata.ChatFramed = &artifact.ChatFramed{Template: t.name, Mark: strings.TrimSpace(t.turn), Example: placeOf(row)}
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
