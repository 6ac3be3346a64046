// Package ci renders a plan and a run for continuous integration: Markdown for pull requests, annotations, and a report
// in JUnit's format. It knows the variables and the limits of GitHub Actions and GitLab.
//
// Names and values come from specs that are not trusted. In Markdown they are in code spans, and they cannot form a
// command to the system that reads a log.
//
// It imports plugins/protocol, runner/action, runner/markdown, runner/plan, runner/spec and runner/terminal.
package ci
