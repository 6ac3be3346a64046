// Package wire is the edge between the values of package protocol and the messages of plugin.proto: conversions, the
// cutting of large values into messages and their joining again, errors that keep their kind, and the handshake.
//
// It is for packages sdk and host, which are the two ends of the wire. It imports protocol, pluginpb and the plugin
// transport.
package wire
