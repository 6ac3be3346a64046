// Package wire converts between the values of package protocol and the messages of plugin.proto. It splits large values
// into messages and joins them again, keeps the kinds of errors, and defines the handshake.
//
// It is for packages sdk and host, which are the two ends of the wire. It imports protocol, pluginpb and the plugin
// transport.
package wire
