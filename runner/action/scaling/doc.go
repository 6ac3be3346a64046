// Package scaling tables how loss changes from model to model of a family: parameters, bits per byte and perplexity over the
// same documents.
//
// It imports runner/action, runner/action/score, runner/artifact, runner/plan, runner/spec and runner/terminal.
package scaling
