// Package pluginpb holds the generated Go code for the messages and services of plugin.proto. Only packages wire, sdk
// and host use it; all others work with the values of package protocol.
package pluginpb

//go:generate ../generate.sh
