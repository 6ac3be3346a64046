// Package specs has no code: it holds the ready-made experiments, and tests that plan them.
package specs
