// Package report condenses a run into the table that a person reads first.
//
// It imports runner/plan, runner/store and the action packages whose summaries it reads.
package report
