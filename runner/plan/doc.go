// Package plan turns an experiment into a typed graph of actions, computes their keys and finds out which of them the
// store already holds.
//
// It is pure: it starts no plugin, reads no source and writes nothing; what it must know of plugins and sources comes in
// as a Catalog. It imports runner/spec, runner/store and plugins/protocol.
package plan
