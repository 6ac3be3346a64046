// Package action says what the engine hands to the work of an action and what it gets back. Each kind of action has a
// package below this one that does its work.
//
// It imports runner/plan and runner/store.
package action
