// Package action defines the interface between the engine and the work of an action: its task and its result. Each kind
// of action has a package below this one that does its work.
//
// It imports runner/plan and runner/store.
package action
