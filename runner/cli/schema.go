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
		Short: "Print the definitions of the spec language, those of the plugins included",
		Args:  oneDirectory,
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
