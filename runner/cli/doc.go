// Package cli is the runner command, with a file for each subcommand. It parses flags, prints results on stdout and everything else
// on stderr, and turns errors into exit codes; what the commands do lives in the packages below it.
package cli
