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

	"github.com/hashicorp/go-hclog"
)

const (
	// maxLineBytes is where a line without an end is cut for the log.
	maxLineBytes = 64 << 10
	// lastLines and lastLineBytes bound what an error quotes of a plugin's output.
	lastLines     = 20
	lastLineBytes = 1000
)

// handshakeLine is go-plugin's: core version, protocol version, network, address, and more.
var handshakeLine = regexp.MustCompile(`^\d+\|(\d+)\|[a-z]+\|[^|]+\|`)

// output takes what a plugin prints to the log, line by line, and remembers the last lines.
type output struct {
	log hclog.Logger

	mu   sync.Mutex
	last []string
}

// print logs a line. One that hclog wrote as JSON keeps its level and fields.
func (o *output) print(line []byte) {
	line = bytes.TrimRight(line, "\r")
	if len(line) == 0 {
		return
	}
	var entry map[string]any
	if line[0] == '{' && json.Unmarshal(line, &entry) == nil {
		text, _ := entry["@level"].(string)
		message, ok := entry["@message"].(string)
		if level := hclog.LevelFromString(text); ok && level != hclog.NoLevel {
			delete(entry, "@level")
			delete(entry, "@message")
			delete(entry, "@timestamp")
			var fields []any
			for _, key := range slices.Sorted(maps.Keys(entry)) {
				fields = append(fields, key, entry[key])
			}
			o.log.Log(level, message, fields...)
			if level >= hclog.Info {
				for i := 0; i < len(fields); i += 2 {
					message += fmt.Sprintf(" %v=%v", fields[i], fields[i+1])
				}
				o.remember(message)
			}
			return
		}
	}
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	o.log.Debug(text)
	o.remember(text)
}

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

// quote returns the last lines for an error message, or "".
func (o *output) quote() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.last) == 0 {
		return ""
	}
	return "; its last output:\n  " + strings.Join(o.last, "\n  ")
}

// lineWriter calls line with each line written to it, or with pieces of a line that is very long.
type lineWriter struct {
	line func([]byte)

	mu      sync.Mutex
	partial []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		if room := maxLineBytes - len(w.partial); len(line) > room {
			line, after, ended = rest[:room], rest[room:], true
		}
		w.partial = append(w.partial, line...)
		if ended {
			w.line(w.partial)
			w.partial = w.partial[:0]
		}
		rest = after
	}
	return len(p), nil
}

// flush passes on a last line without an end.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.partial) > 0 {
		w.line(w.partial)
		w.partial = nil
	}
}
