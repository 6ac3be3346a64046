// Package train trains a model on documents, with a backend that supports training.
//
// It imports runner/action, runner/plan, runner/artifact and plugins/protocol.
package train
