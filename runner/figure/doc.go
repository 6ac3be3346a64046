// Package figure draws the plots of reports as PNG and SVG files, in a light and a dark theme. The same data gives the
// same bytes: fonts are part of the program, and files contain neither dates nor random identifiers.
//
// It imports plugins/protocol and gonum.org/v1/plot.
package figure
