// Package host finds, starts, watches and stops plugins, and gives the runner Go values to work with them.
//
// Every plugin is a subprocess in its own process session. It has a short list of environment variables, plus the ones
// that it asked for, and a private directory for its socket and temporary files. A plugin that dies is restarted, and
// its unanswered requests are sent again. Its output goes to the log. The connection is not encrypted: only the user
// can open the directory of its socket, and encryption would cost a third of the throughput and 35 ms per start.
//
// The package imports plugins/protocol, internal/filelock and the plugin transport, and nothing from runner/.
package host
