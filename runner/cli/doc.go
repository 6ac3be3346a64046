// Package cli is the runner command: one file a command. It parses flags, prints results on stdout and everything else
// on stderr, and turns errors into exit codes; what the commands do lives in the packages below it.
package cli
