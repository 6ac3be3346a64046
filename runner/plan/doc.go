// Package plan turns an experiment into a typed graph of actions, computes their cache keys and finds out which results
// the store already has.
//
// It is pure: it starts no plugin, reads no source and writes nothing. Facts about plugins and sources are passed in as
// a Catalog. It imports runner/spec, runner/store, runner/terminal and plugins/protocol.
package plan
