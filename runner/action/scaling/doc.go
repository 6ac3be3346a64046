// Package scaling makes tables of loss across the models of a family: parameters, bits per byte and perplexity over the
// same documents.
//
// It imports runner/action, runner/action/score, runner/artifact, runner/plan, runner/spec and runner/terminal.
package scaling
