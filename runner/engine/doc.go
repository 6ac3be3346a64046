// Package engine walks a plan on an executor: it finds what is cached, does the rest in the order that the graph allows,
// publishes what was made, and tells observers (a journal, a progress display) what happens.
//
// It imports runner/plan, runner/action, runner/executor, runner/store and internal/filelock; which package does the work of which kind is
// the caller's choice.
package engine
