// Package executor does jobs: in this process, or in processes of their own. A job is data, a descriptor and what goes with
// it; Worker is what turns it into a record of the store, wherever that happens.
//
// Its Budget admits work to a machine by cores, memory and devices, loaded models included. It imports runner/action,
// runner/plan, runner/store, plugins/host and plugins/protocol.
package executor
