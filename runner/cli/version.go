package cli

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"runtime/debug"

	"cuelang.org/go/cue"
	"github.com/spf13/cobra"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/spec"
)

// version describes this program.
type version struct {
	Version string `json:"version"`
	// Commit is the git revision that the program was built from, with "+changes" if the working tree differed. It is
	// "" if unknown.
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// CUE is the version of the CUE language. Language is a digest of the definitions of the specification language.
	CUE      string `json:"cue"`
	Language string `json:"language"`
	// Protocol is the version of the plugin protocol.
	Protocol int `json:"protocol"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the program, the language and the plugin protocol",
		Args:  maxArgs(0),
		Example: `  runner version
  runner version --json`,
		RunE: func(*cobra.Command, []string) error {
			v, err := thisVersion()
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(v)
			}
			writef(a.stdout, "runner    %s\ncommit    %s\ngo        %s %s\nlanguage  %s (CUE %s)\nprotocol  %d\n",
				v.Version, cmp.Or(v.Commit, "unknown"), v.Go, v.Platform, v.Language, v.CUE, v.Protocol)
			return nil
		},
	}
}

func thisVersion() (version, error) {
	v := version{
		Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CUE: cue.LanguageVersion(), Protocol: protocol.Version,
	}
	language := sha256.New()
	if err := spec.WriteSchema(language, spec.Options{Sections: action.Sections(kinds.All())}); err != nil {
		return v, err
	}
	v.Language = hex.EncodeToString(language.Sum(nil))[:12]
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v, nil
	}
	v.Version = cmp.Or(info.Main.Version, v.Version)
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.Commit = s.Value + v.Commit
		case s.Key == "vcs.modified" && s.Value == "true":
			v.Commit += "+changes"
		}
	}
	return v, nil
}
