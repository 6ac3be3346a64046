// Command runner-provider-fortune is a provider for Surprisal in a separate module. It reads fortune files: collections
// of sayings separated by lines that contain a single %.
//
// A row is a saying, with the single field text: the bytes between two such lines, without the last line end. Empty
// sayings are skipped. The package imports plugins/sdk and the values in plugins/protocol.
package main
