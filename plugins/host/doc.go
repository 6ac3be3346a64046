// Package host finds, starts, watches and stops plugins, and gives the runner Go values to work with them.
//
// Every plugin is a subprocess in a session of its own, with a short list of environment variables and the ones that it
// asked for, and a private folder for its socket and temporary files. A plugin that dies is started again, and what it had
// not answered is asked again; what it prints goes to the log. The connection is not encrypted: its socket lies in a
// folder that only the user can open, and encryption would cost a third of the throughput and 35 ms at each start.
//
// The package imports plugins/protocol, internal/filelock and the plugin transport, and nothing of the runner.
package host
