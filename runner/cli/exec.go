package cli

import (
	"os"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/workspace"
)

func (a *app) execCommand() *cobra.Command {
	var o workspace.ExecOptions
	c := &cobra.Command{
		Use:   "exec KEY...",
		Short: "Execute actions from the store, without their specification",
		Long: `exec executes actions that a run put into the store, in a process that does not read the specification. It reads the
descriptor of each key, does the work and publishes the result. It prints the progress and result of each action as
JSON, one object per line.

Without keys, exec reads them from standard input, one per line up to an empty line. It then stops at the end of
its input. That is how runner run --processes starts it.`,
		Example: `  runner exec --store s3://bucket/store 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d`,
		RunE: func(c *cobra.Command, args []string) error {
			o.Keys, o.Store, o.PluginDirs, o.Builtins = args, a.store, a.pluginDirectories(), a.builtins
			var err error
			if o.Log, err = a.logger(); err != nil {
				return err
			}
			if o.Store == "" {
				return usage("exec requires --store: a directory or a URL")
			}
			return workspace.Exec(c.Context(), o, os.Stdin, a.pipe)
		},
	}
	c.Flags().StringVar(&o.Run, "run", "", "`ID` of the run that the actions belong to; default a new run")
	c.Flags().StringVar(&o.CacheDir, "cache", "", "directory `DIR` for copies of the blobs of a remote store; default a temporary one")
	return c
}
