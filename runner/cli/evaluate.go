package cli

import (
	"os"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/spec"
)

// confineToSpec stands for the spec's own directory as a value of --confine.
const confineToSpec = "SPEC"

// specFlags adds the flags that say how a spec is read.
func (a *app) specFlags(c *cobra.Command) {
	flags := c.PersistentFlags()
	flags.StringVar(&a.confine, "confine", "", "read nothing outside of this directory; without a value, outside of the spec's")
	flags.Lookup("confine").NoOptDefVal = confineToSpec
	flags.DurationVar(&a.specTime, "spec-time", spec.DefaultTime, "how long evaluating the spec may take")
	flags.StringVar(&a.specMemory, "spec-memory", "2GiB", "how much memory evaluating the spec may take")
}

// confinement returns the directory that nothing outside of is read from, or "".
func (a *app) confinement(dir string) string {
	if a.confine == confineToSpec {
		return dir
	}
	return a.confine
}

// evaluator returns what reads specs: this program, started again.
func (a *app) evaluator() (spec.Evaluator, error) {
	memory, err := parseSize(a.specMemory)
	if err != nil {
		return nil, err
	}
	if a.specTime <= 0 || memory <= 0 {
		return nil, usage("--spec-time %v and --spec-memory %q: give more than 0", a.specTime, a.specMemory)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return spec.Bounded{Command: []string{program, "evaluate"}, Time: a.specTime, Memory: memory}, nil
}

// evaluateCommand is how the runner starts itself to read a spec within bounds.
func (a *app) evaluateCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "evaluate",
		Hidden: true,
		Args:   maxArgs(0),
		RunE: func(*cobra.Command, []string) error {
			if code := spec.Serve(os.Stdin, a.pipe, action.Sections(kinds.All())); code != 0 {
				return &exitError{code, nil}
			}
			return nil
		},
	}
}
