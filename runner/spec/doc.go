// Package spec reads an experiment. It turns a CUE package into plain Go values, with every reference resolved and
// every mistake reported with its position.
//
// The spec language is the CUE module surprisal.dev in package cue. It is served from memory, so that reading a spec
// does not access the network. The package does not know any plugin: callers pass their CUE schemas to Load. Of this
// module, it imports only package cue and plugins/protocol.
package spec
