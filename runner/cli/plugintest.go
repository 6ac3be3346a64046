package cli

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/conformance"
	"surprisal.dev/plugins/protocol"
)

func (a *app) pluginTestCommand() *cobra.Command {
	var kind, config, large string
	var fields []string
	c := &cobra.Command{
		Use:   "test PROGRAM",
		Short: "Run a plugin through the suite that every provider and backend must pass",
		Long: `test runs a plugin's binary through the conformance suite. Without --config it checks what needs no source and no
model. A provider's --config is a source with at least 3 rows, a backend's a model.`,
		Args: minArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			k, err := kindOf(kind, args[0])
			if err != nil {
				return err
			}
			if _, err := exec.LookPath(args[0]); err != nil {
				return usage("%v; give the path of a plugin's program", err)
			}
			var cases []conformance.Case
			if config != "" {
				test, err := a.conformanceCase(k, config, large, fields)
				if err != nil {
					return err
				}
				cases = append(cases, test)
			}
			report, err := conformance.Run(c.Context(), args, k, cases...)
			if err != nil {
				return err
			}
			if a.asJSON {
				err = a.printJSON(report)
			} else {
				_, err = report.WriteTo(a.stdout)
			}
			if err == nil && !report.Passed() {
				return &exitError{code: exitFailed}
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&kind, "kind", "", "provider or backend, where the program's name does not say it")
	f.StringVar(&config, "config", "", "a source or a model for the plugin, as JSON")
	f.StringVar(&large, "large", "", "a source with a row of at least 64 MiB, as JSON")
	f.StringSliceVar(&fields, "field", []string{"text"}, "the fields to read from the source")
	return c
}

func kindOf(flag, program string) (protocol.Kind, error) {
	for _, k := range []protocol.Kind{protocol.KindProvider, protocol.KindBackend} {
		if flag == string(k) || flag == "" && strings.HasPrefix(filepath.Base(program), "runner-"+string(k)+"-") {
			return k, nil
		}
	}
	if flag != "" {
		return "", usage("--kind %q is not provider or backend", flag)
	}
	return "", usage("%s is not called runner-provider-NAME or runner-backend-NAME; say which it is with --kind", program)
}

func (a *app) conformanceCase(k protocol.Kind, config, large string, fields []string) (conformance.Case, error) {
	test := conformance.Case{Name: "--config"}
	if !json.Valid([]byte(config)) {
		return test, usage("--config %s is not JSON", config)
	}
	if k == protocol.KindBackend {
		test.Model = protocol.Model{Config: json.RawMessage(config)}
		return test, nil
	}
	dir, err := filepath.Abs(a.dir)
	if err != nil {
		return test, err
	}
	test.Source, test.Fields = protocol.Source{Config: json.RawMessage(config), Dir: dir}, fields
	if large != "" {
		if !json.Valid([]byte(large)) {
			return test, usage("--large %s is not JSON", large)
		}
		test.Large = &protocol.Source{Config: json.RawMessage(large), Dir: dir}
	}
	return test, nil
}
