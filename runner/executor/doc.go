// Package executor executes jobs in this process or in separate processes. A job is data: a descriptor with labels and
// resources. A Worker turns it into a record in the store, in any process.
//
// A Budget admits work to a machine by cores, memory and devices, including those of loaded models. The package imports
// runner/action, runner/plan, runner/store, plugins/host and plugins/protocol.
package executor
