// Package pluginpb holds the messages and services of plugin.proto as generated Go code. Only packages wire, sdk and
// host use it; everyone else works with the values of package protocol.
package pluginpb

//go:generate ../generate.sh
