// Package score scores the documents of a dataset with a model. It distributes every loss over its bytes and rejects
// the losses of a backend if the ledger does not balance.
//
// It imports runner/action, runner/plan, runner/artifact and plugins/protocol.
package score
