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
		Short: "Run the conformance suite on a plugin",
		Long: `test runs the conformance suite on the program of a plugin. Without --config it runs only the checks that need no source
or model. The --config of a provider is a source with at least 3 rows, that of a backend is a model.`,
		Example: `  runner plugin test ./runner-provider-fortune
  runner plugin test ./runner-provider-fortune --config '{"path": "fortunes.txt"}'
  runner plugin test --kind backend --config '{"scale": 2}' ./my-backend`,
		Annotations: map[string]string{"1": "failure, or a check failed"},
		Args:        minArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			k, err := kindOf(kind, args[0])
			if err != nil {
				return err
			}
			if _, err := exec.LookPath(args[0]); err != nil {
				return usage("%v; pass the path of the plugin's program", err)
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
	f.StringVar(&kind, "kind", "", "`KIND` of the plugin, provider or backend; default from the name of the program")
	f.StringVar(&config, "config", "", "source or model for the plugin, as `JSON`")
	f.StringVar(&large, "large", "", "source with a row of at least 64 MiB, as `JSON`")
	f.StringSliceVar(&fields, "field", []string{"text"}, "`FIELD` to read from the source; may be repeated")
	return c
}

func kindOf(flag, program string) (protocol.Kind, error) {
	for _, k := range []protocol.Kind{protocol.KindProvider, protocol.KindBackend} {
		if flag == string(k) || flag == "" && strings.HasPrefix(filepath.Base(program), "runner-"+string(k)+"-") {
			return k, nil
		}
	}
	if flag != "" {
		return "", usage("invalid --kind %q: use provider or backend", flag)
	}
	return "", usage("%s is not named runner-provider-NAME or runner-backend-NAME; pass --kind provider or --kind backend", program)
}

func (a *app) conformanceCase(k protocol.Kind, config, large string, fields []string) (conformance.Case, error) {
	test := conformance.Case{Name: "--config"}
	if !json.Valid([]byte(config)) {
		return test, usage("--config %s is not valid JSON", config)
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
			return test, usage("--large %s is not valid JSON", large)
		}
		test.Large = &protocol.Source{Config: json.RawMessage(large), Dir: dir}
	}
	return test, nil
}
