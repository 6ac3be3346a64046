// Package fit fits lines and other curves to points by least squares, with 95% intervals.
//
// It imports gonum.org/v1/gonum only.
package fit
