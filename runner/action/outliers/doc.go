// Package outliers reports outlier features of models against their perplexity, as Dettmers et al., "LLM.int8(): 8-bit
// Matrix Multiplication for Transformers at Scale", arXiv:2208.07339, do in Figure 3: the dimensions of the outputs of
// norms that reach a magnitude in many layers and at many positions of a sequence, with statistics, plots and exponential
// fits.
//
// It reads the tables of the kind activations, one sequence of one model at a time. It holds sums for each dimension of a
// model, and counts of the different percentages.
//
// It imports runner/action, runner/action/activations, runner/action/score, runner/artifact, runner/figure, runner/fit,
// runner/markdown, runner/plan, runner/spec and runner/terminal.
package outliers
