// Package scaling reports how the loss of models depends on their size, or on another number of each model such as
// training steps: per document, per dataset and overall, with power-law fits, plots, and the documents, tokens and
// sentence positions that are hardest or that gain most and least.
//
// It reads scored_documents.parquet of all models in step, one document at a time, and holds sums per token of the
// vocabularies.
//
// It imports runner/action, runner/action/gap for the buckets of text, runner/action/score, runner/artifact,
// runner/figure, runner/fit, runner/markdown, runner/plan, runner/spec and runner/terminal.
package scaling
