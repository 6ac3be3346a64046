package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/workspace"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [DIR]",
		Short: "Print the definitions of the specification language, including those of plugins",
		Long: `schema prints the CUE definitions of the specification language and of the configurations of all plugins that were
found.`,
		Example: `  runner schema mine
  runner schema --plugins ./plugins`,
		Args:        oneDirectory,
		Annotations: map[string]string{"1": "failure, or a plugin cannot be used"},
		RunE: func(c *cobra.Command, args []string) error {
			return a.open(c.Context(), a.directory(args), func(w *workspace.Workspace) error {
				language, err := w.Language(c.Context())
				if err != nil {
					return err
				}
				if err := spec.WriteSchema(a.stdout, language); err != nil {
					return err
				}
				plugins, err := w.Plugins(c.Context())
				return errors.Join(err, unusable(plugins))
			})
		},
	}
}
