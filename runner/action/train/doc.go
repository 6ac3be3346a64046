// Package train makes a model of documents with a backend that trains.
//
// It imports runner/action, runner/plan, runner/artifact and plugins/protocol.
package train
