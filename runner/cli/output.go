package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/mattn/go-isatty"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// output writes text for people. Names, reasons, file names and the output of plugins are not trusted: their control
// and bidirectional characters are shown as escapes, and no line is a command to a CI system that reads the log. An
// output may be used by many goroutines.
type output struct {
	colored bool

	mu      sync.Mutex
	to      io.Writer
	line    []byte // the unfinished line, made safe
	pending []byte // the rest of that line, not yet made safe
	err     error
}

// maxPending bounds the bytes of an unfinished line that are held back.
const maxPending = 1 << 16

func newOutput(to io.Writer, colored bool) *output { return &output{to: to, colored: colored} }

// colors reports whether w is a terminal that shows colors to a user who wants them.
func colors(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// Write writes text. It keeps line breaks and shows every other control character as an escape. It may hold back an
// unfinished line until the line or the output ends.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for rest := p; ; {
		text, after, whole := bytes.Cut(rest, []byte{'\n'})
		o.pending = append(o.pending, text...)
		if !whole {
			break
		}
		o.endLine()
		rest = after
	}
	if len(o.pending) > maxPending {
		n := divide(o.pending)
		tail := bytes.Clone(o.pending[n:])
		o.pending = o.pending[:n]
		o.emit("")
		o.pending = append(o.pending, tail...)
	}
	return len(p), o.err
}

// divide returns where a long line can be divided: not within a character, and not within a possible command.
func divide(line []byte) int {
	n := len(line)
	for n > 0 && (line[n-1]|0x20 >= 'a' && line[n-1]|0x20 <= 'z') {
		n--
	}
	if begin, ok := bytes.CutSuffix(line[:n], []byte("#")); ok {
		return len(bytes.TrimSuffix(begin, []byte("#")))
	}
	n = len(line)
	for back := 1; back < utf8.UTFMax && back <= n; back++ {
		if utf8.RuneStart(line[n-back]) && !utf8.FullRune(line[n-back:]) {
			return n - back
		}
	}
	return n
}

// writeSafe writes text that is already safe, with line breaks.
func (o *output) writeSafe(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		part, after, whole := strings.Cut(text, "\n")
		o.settle()
		o.line = append(o.line, part...)
		if !whole {
			return
		}
		o.endLine()
		text = after
	}
}

// settle makes the pending text safe and appends it to the line.
func (o *output) settle() {
	if len(o.pending) > 0 {
		o.line = append(o.line, visibleLine(string(o.pending))...)
		o.pending = o.pending[:0]
	}
}

func (o *output) endLine() { o.emit("\n") }

// emit writes the line so far.
func (o *output) emit(end string) {
	o.settle()
	if o.err == nil && len(o.line)+len(end) > 0 {
		o.line = append(withoutCommands(o.line), end...)
		_, o.err = o.to.Write(o.line)
	}
	o.line = o.line[:0]
}

// above writes lines above a display on the same terminal until restore is called. Lines that the display does not
// accept go to the original destination.
func (o *output) above(display io.Writer) (restore func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.to
	o.to = either{display, before}
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.to = before
	}
}

// either writes to the first writer, or to the second if that fails.
type either struct{ first, second io.Writer }

func (e either) Write(p []byte) (int, error) {
	if n, err := e.first.Write(p); err == nil {
		return n, nil
	}
	return e.second.Write(p)
}

// Flush writes an unfinished line, and returns the first error of all writes.
func (o *output) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.emit("")
	if f, ok := o.to.(interface{ Flush() error }); ok && o.err == nil {
		o.err = f.Flush()
	}
	return o.err
}

// data returns a writer for data, which is written unchanged.
func (o *output) data() io.Writer { return dataWriter{o} }

type dataWriter struct{ o *output }

func (w dataWriter) Write(p []byte) (int, error) {
	w.o.mu.Lock()
	defer w.o.mu.Unlock()
	w.o.emit("")
	if w.o.err == nil {
		_, w.o.err = w.o.to.Write(p)
	}
	return len(p), w.o.err
}

// safeWriter writes text that is already safe to an output.
type safeWriter struct{ o *output }

func (w safeWriter) Write(p []byte) (int, error) {
	w.o.writeSafe(string(p))
	return len(p), nil
}

// visibleLine is protocol.Visible for a line of text. It keeps tabs.
func visibleLine(s string) string {
	if !strings.Contains(s, "\t") {
		return protocol.Visible(s)
	}
	parts := strings.Split(s, "\t")
	for i, part := range parts {
		parts[i] = protocol.Visible(part)
	}
	return strings.Join(parts, "\t")
}

// GitHub obeys lines that begin with "::", after white space and colors, and "##[" anywhere in a line. Azure Pipelines
// obeys "##vso[", and TeamCity "##teamcity[".
var (
	commandAtStart = regexp.MustCompile(`^((?:\x1b\[[0-9;]*m|[\s\p{Z}])*:):`)
	commandInside  = regexp.MustCompile(`##([A-Za-z]*\[)`)
)

// withoutCommands inserts a backslash into text that a CI system would obey as a command.
func withoutCommands(line []byte) []byte {
	if !bytes.Contains(line, []byte("::")) && !bytes.Contains(line, []byte("##")) {
		return line
	}
	return commandInside.ReplaceAll(commandAtStart.ReplaceAll(line, []byte(`$1\:`)), []byte(`#\#$1`))
}

// color is the ANSI code of a color.
type color int

const (
	red    color = 31
	green  color = 32
	yellow color = 33
)

// painted is text in a color, on a terminal with colors.
type painted struct {
	color color
	text  string
}

func (p painted) String() string { return p.text }

// block is text that keeps its line breaks. Lines after the first are indented.
type block string

func (b block) visible() string {
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	for i, line := range lines {
		lines[i] = visibleLine(line)
		if i > 0 && !strings.HasPrefix(line, "  ") {
			lines[i] = "  " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// writef is fmt.Fprintf with protocol.Visible applied to every string, error and Stringer among args. A value stays
// within one line, unless it is a block.
func writef(w io.Writer, format string, args ...any) {
	o, _ := w.(*output)
	for i, arg := range args {
		switch v := arg.(type) {
		case painted:
			args[i] = protocol.Visible(v.text)
			if o != nil && o.colored {
				args[i] = fmt.Sprintf("\x1b[%dm%s\x1b[0m", v.color, args[i])
			}
		case block:
			args[i] = v.visible()
		case string:
			args[i] = protocol.Visible(v)
		case error:
			args[i] = protocol.Visible(v.Error())
		case fmt.Stringer:
			args[i] = protocol.Visible(v.String())
		default:
			switch reflect.ValueOf(arg).Kind() {
			case reflect.String, reflect.Map, reflect.Slice, reflect.Struct, reflect.Pointer:
				args[i] = protocol.Visible(fmt.Sprint(arg))
			}
		}
	}
	text := fmt.Sprintf(format, args...)
	if o != nil {
		o.writeSafe(text)
		return
	}
	// A writer in memory, or one that keeps its error.
	_, _ = io.WriteString(w, text)
}

// printError prints an error, or each of several joined errors. Continuation lines are indented.
func printError(w io.Writer, err error) {
	// Only the outermost layer counts: the parts of joined errors are printed separately.
	switch e := err.(type) { //nolint:errorlint
	case nil:
	case *exitError:
		printError(w, e.err)
	case spec.Errors:
		for _, one := range e {
			writef(w, "%s\n", block(one.Error()))
		}
	default:
		if parts := joined(err); parts != nil {
			for _, part := range parts {
				printError(w, part)
			}
			return
		}
		writef(w, "%s\n", block(err.Error()))
	}
}
