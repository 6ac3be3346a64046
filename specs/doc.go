// Package specs holds the ready-made suites and experiments. They are directories with a spec each; the module of CUE
// packages that they share is specs.surprisal.dev. Its tests plan all of them without a network.
package specs
