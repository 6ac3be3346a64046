// Package statistics estimates ratios of sums over documents, such as bits per byte, with intervals and tests.
//
// It imports gonum.org/v1/gonum only.
package statistics
