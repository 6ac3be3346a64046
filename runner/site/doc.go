// Package site makes a web site of static files from experiments: a manifest, tables that a browser reads by range, and
// the pages. It publishes only what the user chooses. It also serves a site on this machine.
//
// It imports runner/action, runner/artifact, runner/plan, runner/store, runner/terminal and golang.org/x/sys.
package site
