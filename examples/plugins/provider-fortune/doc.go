// Command runner-provider-fortune is a provider for Surprisal in a module of its own: it reads fortune files, collections
// of sayings with a line of a single % between them.
//
// A row is a saying, with the one field text: the bytes between two such lines, without the last line end. Sayings
// without a byte are no rows. The package imports plugins/sdk and the values in plugins/protocol.
package main
