package protocol

import (
	"bytes"
	"regexp"
	"strings"
)

// GitHub obeys lines that begin with "::", after white space and colors, and "##[" anywhere in a line. Azure Pipelines
// obeys "##vso[", and TeamCity "##teamcity[".
var (
	commandAtStart = regexp.MustCompile(`^((?:\x1b\[[0-9;]*m|[\s\p{Z}])*:):`)
	commandInside  = regexp.MustCompile(`##([A-Za-z]*\[)`)
)

// WithoutCommands inserts a backslash into a line of text that a CI system would obey as a command if it reads the line
// in a log.
func WithoutCommands(line []byte) []byte {
	if !bytes.Contains(line, []byte("::")) && !bytes.Contains(line, []byte("##")) {
		return line
	}
	return commandInside.ReplaceAll(commandAtStart.ReplaceAll(line, []byte(`$1\:`)), []byte(`#\#$1`))
}

// TextWithoutCommands is WithoutCommands for each line of a text.
func TextWithoutCommands(text string) string {
	if !strings.Contains(text, "::") && !strings.Contains(text, "##") {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		lines[i] = string(WithoutCommands([]byte(line)))
	}
	return strings.Join(lines, "")
}

// XMLWithoutCommands returns an equivalent XML document in which a character of each command to a CI system is a
// character reference. The document must have no comments, CDATA sections or processing instructions.
func XMLWithoutCommands(document []byte) []byte {
	lines := bytes.SplitAfter(document, []byte("\n"))
	for i, line := range lines {
		lines[i] = commandInside.ReplaceAll(commandAtStart.ReplaceAll(line, []byte(`$1&#58;`)), []byte(`#&#35;$1`))
	}
	return bytes.Join(lines, nil)
}
