// Package glob matches slash-separated names against globs, and finds the files that match.
//
// The syntax is that of github.com/bmatcuk/doublestar: "*" and "?" match within a name, "[a-z]" and "[^a-z]" match a
// character, "{a,b}" matches one of several globs, "\" makes the next character literal, and the segment "**" matches
// any number of directories or, at the end, everything below.
//
// Globs come from specs, which may be untrusted. Matching takes time proportional to the length of the glob times the
// length of the name, whatever the glob is: a glob is a nondeterministic automaton whose states are tracked together.
// A package that backtracks, or that expands "{a,b}", needs exponential time for some globs.
package glob
