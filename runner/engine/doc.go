// Package engine executes a plan on an executor. It looks up cached actions, runs the others in the order that the
// graph allows, and reports events to observers (a journal, a progress display).
//
// It imports runner/plan, runner/action, runner/executor, runner/store and internal/filelock. The caller chooses the
// packages that do the work of each kind.
package engine
