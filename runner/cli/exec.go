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
		Short: "Do actions that a run put into the store, and nothing else",
		Long: `exec does actions whose descriptors a run put into the store, in a process that need not see the spec: it reads the
descriptor of each key, does the work and publishes the result. It prints what becomes of each, a JSON object a line.

Without keys it reads them from its input, a line each up to an empty line, as runner run --processes gives them. It
then stops when its input ends.`,
		Example: `  runner exec --store s3://bucket/store 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d`,
		RunE: func(c *cobra.Command, args []string) error {
			o.Keys, o.Store, o.PluginDirs, o.Builtins = args, a.store, a.pluginDirectories(), a.builtins
			var err error
			if o.Log, err = a.logger(); err != nil {
				return err
			}
			if o.Store == "" {
				return usage("exec takes the store from --store, a directory or a URL")
			}
			return workspace.Exec(c.Context(), o, os.Stdin, a.pipe)
		},
	}
	c.Flags().StringVar(&o.Run, "run", "", "the run that the actions belong to; without it they make one")
	c.Flags().StringVar(&o.CacheDir, "cache", "", "where blobs of a remote store are kept on this machine")
	return c
}
