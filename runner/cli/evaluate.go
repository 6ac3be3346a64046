package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/spec"
)

// confineToSpec is the value of --confine that means the experiment directory.
const confineToSpec = "SPEC"

// specFlags adds the flags of reading a specification.
func (a *app) specFlags(c *cobra.Command) {
	flags := c.PersistentFlags()
	flags.StringVar(&a.confine, "confine", "", "do not read files outside of `DIR`; without a value, outside of the experiment directory")
	flags.Lookup("confine").NoOptDefVal = confineToSpec
	flags.DurationVar(&a.specTime, "spec-time", spec.DefaultTime, "time limit `DURATION` of evaluating the specification")
	flags.StringVar(&a.specMemory, "spec-memory", "2GiB", "memory limit `SIZE` of evaluating the specification")
}

// confinement returns the directory that reading is confined to, or "".
func (a *app) confinement(dir string) string {
	if a.confine == confineToSpec {
		return dir
	}
	return a.confine
}

// evaluator returns an evaluator that reads specs in another process of this program.
func (a *app) evaluator() (spec.Evaluator, error) {
	memory, err := parseSize(a.specMemory)
	if err != nil {
		return nil, err
	}
	if a.specTime <= 0 || memory <= 0 {
		return nil, usage("--spec-time %v, --spec-memory %q: both must be greater than 0", a.specTime, a.specMemory)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return spec.Bounded{Command: []string{program, "evaluate"}, Time: a.specTime, Memory: memory}, nil
}

// evaluateCommand is the hidden command that reads a spec within bounds; see spec.Bounded.
func (a *app) evaluateCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "evaluate",
		Hidden: true,
		Args:   maxArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			internal := usage("%s is internal: other commands start it to read a specification; use `runner plan` to check one", c.CommandPath())
			if isTerminal(os.Stdin) {
				return internal
			}
			switch code, err := spec.Serve(os.Stdin, a.pipe, action.Sections(kinds.All())); {
			case errors.Is(err, spec.ErrNoRequest):
				return internal
			case code != 0:
				return &exitError{code, err}
			}
			return nil
		},
	}
}
