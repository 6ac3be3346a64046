package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// Untrusted text cannot control a terminal or a CI system.
func TestOutputShowsWhatOthersWrote(t *testing.T) {
	for _, test := range []struct{ name, format, value, want string }{
		{"plain text", "%s\n", "naïve ☃ words", "naïve ☃ words\n"},
		{"a line break in a value", "name: %s\n", "a\n::error::b", "name: a\\n::error::b\n"},
		{"a carriage return", "%s\n", "a\rb", "a\\rb\n"},
		{"an escape sequence", "%s\n", "a\x1b[2Jb", "a\\x1b[2Jb\n"},
		{"a bidirectional override", "%s\n", "a\u202eb", "a\\u202eb\n"},
		{"not UTF-8", "%s\n", "a\xffb", "a\\xffb\n"},
		{"a command of GitHub", "%s\n", "::error::x", ":\\:error::x\n"},
		{"an indented command", "  %s\n", "::error::x", "  :\\:error::x\n"},
		{"a command after spaces of Unicode", "%s\n", "\u00a0\u3000::add-mask::x", "\u00a0\u3000:\\:add-mask::x\n"},
		{"colons within a line", "x: %s\n", "::error::x", "x: ::error::x\n"},
		{"an older command of GitHub", "warning: %s\n", "##[error]x", "warning: #\\#[error]x\n"},
		{"a command of Azure", "warning: %s\n", "##vso[task.setvariable]x", "warning: #\\#vso[task.setvariable]x\n"},
		{"a command in two parts", "#%s\n", "#[error]x", "#\\#[error]x\n"},
	} {
		var b bytes.Buffer
		o := newOutput(&b, false)
		writef(o, test.format, test.value)
		if err := o.Flush(); err != nil || b.String() != test.want {
			t.Errorf("%s: writef writes %q, %v; want %q", test.name, b.String(), err, test.want)
		}
	}
}

// Text may arrive in pieces of any size.
func TestOutputWritesPieces(t *testing.T) {
	text := "plain\ttext ☃\n::error::one\n \x1b[31mred\u202e\n##[error]two\nno end ☃" + strings.Repeat("☃", maxPending)
	want := "plain\ttext ☃\n:\\:error::one\n \\x1b[31mred\\u202e\n#\\#[error]two\nno end ☃" + strings.Repeat("☃", maxPending)
	// The last command is where a line that is too long to hold back is divided.
	straddling := strings.Repeat("x", maxPending-3) + " "
	text += "\n" + straddling + "##[error]three"
	want += "\n" + straddling + "#\\#[error]three"
	for _, piece := range []int{1, 2, 7, 1000, len(text)} {
		var b bytes.Buffer
		o := newOutput(&b, false)
		for rest := []byte(text); len(rest) > 0; {
			n := min(piece, len(rest))
			if _, err := o.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := o.Flush(); err != nil || b.String() != want {
			t.Errorf("pieces of %d bytes: wrote %.80q, %v; want %.80q", piece, b.String(), err, want)
		}
	}
}

func TestPrintError(t *testing.T) {
	join := errors.Join(errors.New("first"), &exitError{2, errors.New("second\nits output")})
	for _, test := range []struct {
		err  error
		want string
	}{
		{&exitError{code: 1}, ""},
		{join, "first\nsecond\n  its output\n"},
		{fmt.Errorf("wrapped: %w", join), "wrapped: first\n  second\n  its output\n"},
		{&protocol.Error{Message: "a\n::error::b\n  kept"}, "a\n  :\\:error::b\n  kept\n"},
		{spec.Errors{{Message: "a\nb"}, {Path: "::warning::"}}, "a\n    b\n:\\:warning::\n"},
	} {
		var b bytes.Buffer
		o := newOutput(&b, false)
		printError(o, test.err)
		if err := o.Flush(); err != nil || b.String() != test.want {
			t.Errorf("%q: wrote %q, %v; want %q", test.err, b.String(), err, test.want)
		}
	}
}

func TestColors(t *testing.T) {
	for colored, want := range map[bool]string{true: "\x1b[31mbad\\x1b\x1b[0m\n", false: "bad\\x1b\n"} {
		var b bytes.Buffer
		o := newOutput(&b, colored)
		writef(o, "%s\n", painted{red, "bad\x1b"})
		if b.String() != want {
			t.Errorf("wrote %q, want %q", b.String(), want)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// An error of a write is kept until the end.
func TestOutputKeepsTheError(t *testing.T) {
	for name, write := range map[string]func(*output){
		"text": func(o *output) { writef(o, "a\n") },
		"data": func(o *output) { fmt.Fprint(o.data(), "a") },
		"line": func(o *output) { fmt.Fprint(o, "a") },
	} {
		o := newOutput(broken{}, false)
		write(o)
		if err := o.Flush(); err == nil || err.Error() != "disk full" {
			t.Errorf("%s: Flush gives %v", name, err)
		}
	}
}
