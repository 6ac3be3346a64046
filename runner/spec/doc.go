// Package spec reads an experiment: a CUE package becomes plain Go values, with every reference resolved and every
// mistake reported with its place.
//
// The spec language itself is the CUE module surprisal.dev in package cue. It is served from memory, so that reading a
// spec never asks the network. The package knows no plugin: their CUE schemas are handed to Load. Of Surprisal it imports
// package cue only.
package spec
