// Package score has a model score the documents of a dataset, puts every loss on its bytes, and refuses a backend whose
// ledger does not balance.
//
// It imports runner/action, runner/plan, runner/artifact and plugins/protocol.
package score
