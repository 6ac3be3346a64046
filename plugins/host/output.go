package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
)

const (
	// maxLineBytes is the length at which a line is truncated for the log.
	maxLineBytes = 64 << 10
	// lastLines and lastLineBytes bound what an error quotes of a plugin's output.
	lastLines     = 20
	lastLineBytes = 1000
	// lineOverhead approximates what a line costs in the log in addition to its text.
	lineOverhead = 128
)

// handshakeLine matches go-plugin's handshake: core version, protocol version, network, address, and more.
var handshakeLine = regexp.MustCompile(`^\d+\|(\d+)\|[a-z]+\|[^|]+\|`)

// gate bounds how much a plugin writes to the log: a large burst, a low sustained rate, and a total.
type gate struct {
	burst, perSecond, total int64
	now                     func() time.Time

	mu      sync.Mutex
	room    int64
	at      time.Time
	written int64
	lines   int64 // dropped and not yet reported
	bytes   int64
}

func newGate() *gate {
	return &gate{burst: 4 << 20, perSecond: 128 << 10, total: 64 << 20, now: time.Now, room: 4 << 20}
}

// pass reports whether a line of n bytes may be written, and how many lines and bytes were dropped before it.
func (g *gate) pass(n int) (ok bool, lines, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if !g.at.IsZero() {
		elapsed := min(now.Sub(g.at), time.Hour)
		g.room = min(g.burst, g.room+int64(elapsed.Seconds()*float64(g.perSecond)))
	}
	g.at = now
	cost := int64(n) + lineOverhead
	// The end of a flood is reported only when there is room for more than a line or two.
	if g.written+cost > g.total || cost > g.room || g.lines > 0 && g.room < g.burst/16 {
		g.lines++
		g.bytes += int64(n)
		return false, 0, 0
	}
	g.room -= cost
	g.written += cost
	lines, bytes = g.lines, g.bytes
	g.lines, g.bytes = 0, 0
	return true, lines, bytes
}

// rest returns how much was dropped and not yet reported.
func (g *gate) rest() (lines, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	lines, bytes = g.lines, g.bytes
	g.lines, g.bytes = 0, 0
	return lines, bytes
}

// output copies what a plugin prints to the log, line by line, and remembers the last lines. Whatever a line
// contains, it stays one line of visible characters.
type output struct {
	log  hclog.Logger
	gate *gate

	mu   sync.Mutex
	last []string
}

// print logs a line whose last cut bytes are omitted.
func (o *output) print(line []byte, cut int64) {
	line = bytes.TrimRight(line, "\r")
	if len(line) == 0 {
		return
	}
	ok, lines, bytes := o.gate.pass(len(line))
	o.dropped(lines, bytes)
	if ok && cut == 0 && line[0] == '{' && o.printJSON(line) {
		return
	}
	text := protocol.Visible(string(line))
	if cut > 0 {
		text += fmt.Sprintf(" ... (%d bytes more)", cut)
	}
	if ok {
		o.log.Debug(text)
	}
	o.remember(text)
}

// printJSON logs a line that hclog wrote. It returns false if the line is not one.
func (o *output) printJSON(line []byte) bool {
	var entry map[string]any
	if json.Unmarshal(line, &entry) != nil {
		return false
	}
	text, _ := entry["@level"].(string)
	message, ok := entry["@message"].(string)
	level := hclog.LevelFromString(text)
	if !ok || level == hclog.NoLevel {
		return false
	}
	delete(entry, "@level")
	delete(entry, "@message")
	delete(entry, "@timestamp")
	message = protocol.Visible(message)
	var fields []any
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		value := entry[key]
		switch value.(type) {
		case nil, bool, float64:
		default:
			value = protocol.Visible(fmt.Sprint(value))
		}
		fields = append(fields, protocol.Visible(key), value)
	}
	o.log.Log(level, message, fields...)
	if level >= hclog.Info {
		for i := 0; i < len(fields); i += 2 {
			message += fmt.Sprintf(" %v=%v", fields[i], fields[i+1])
		}
		o.remember(message)
	}
	return true
}

func (o *output) dropped(lines, bytes int64) {
	if lines > 0 {
		o.log.Warn("the plugin prints more than the log accepts; some of its output is omitted", "lines", lines, "bytes", bytes)
	}
}

// end reports the output that was dropped last.
func (o *output) end() { o.dropped(o.gate.rest()) }

func (o *output) remember(line string) {
	if len(line) > lastLineBytes {
		line = strings.ToValidUTF8(line[:lastLineBytes], "") + " ..."
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.last) == lastLines {
		o.last = slices.Delete(o.last, 0, 1)
	}
	o.last = append(o.last, line)
}

// quote returns the last lines for an error message, or "". Each is marked, so that it cannot pass for a line of the
// runner or for a command to a system that reads its log.
func (o *output) quote() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.last) == 0 {
		return ""
	}
	return "; its last output:\n  | " + strings.Join(o.last, "\n  | ")
}

// lineWriter calls line with each line written to it. For a very long line it passes on the beginning and the number
// of bytes that follow.
type lineWriter struct {
	line func(line []byte, cut int64)

	mu      sync.Mutex
	partial []byte
	cut     int64
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		kept := line[:min(len(line), maxLineBytes-len(w.partial))]
		w.partial = append(w.partial, kept...)
		w.cut += int64(len(line) - len(kept))
		if ended {
			w.end()
		}
		rest = after
	}
	return len(p), nil
}

// end needs w.mu.
func (w *lineWriter) end() {
	w.line(w.partial, w.cut)
	w.partial, w.cut = w.partial[:0], 0
}

// flush passes on a last line that has no line end.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.partial) > 0 {
		w.end()
	}
}
