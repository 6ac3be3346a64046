// Package figure draws the plots of reports as PNG and SVG files, in a light and a dark theme. The same data gives the
// same bytes: fonts are part of the program, and files contain neither dates nor random identifiers. A Graph is a plot for
// the terminal.
//
// It imports plugins/protocol, gonum.org/v1/plot and github.com/guptarohit/asciigraph.
package figure
