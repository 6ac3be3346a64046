// Package cli implements the runner command, with a file for each subcommand. It parses flags, prints results on stdout
// and everything else on stderr, and turns errors into exit codes. The packages below it do the work.
package cli
