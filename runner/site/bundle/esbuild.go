package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// bundle returns the files of the bundle by their slash-separated names.
func bundle() (map[string][]byte, error) {
	root, err := filepath.Abs(app)
	if err != nil {
		return nil, err
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:       root,
		EntryPointsAdvanced: []api.EntryPoint{{InputPath: "src/main.tsx", OutputPath: "app"}},
		Outdir:              "out/assets",
		EntryNames:          "[name]-[hash]",
		ChunkNames:          "[name]-[hash]",
		AssetNames:          "[name]-[hash]",
		Bundle:              true,
		Splitting:           true,
		Format:              api.FormatESModule,
		Target:              api.ES2022,
		MinifyWhitespace:    true,
		MinifyIdentifiers:   true,
		MinifySyntax:        true,
		LegalComments:       api.LegalCommentsNone,
		Metafile:            true,
		// The pages of the kinds are outside of this directory and import the same packages.
		Tsconfig:  filepath.Join(root, "tsconfig.json"),
		NodePaths: []string{filepath.Join(root, "node_modules")},
		LogLevel:  api.LogLevelWarning,
	})
	var problems []error
	for _, message := range slices.Concat(result.Errors, result.Warnings) {
		problems = append(problems, errors.New(message.Text))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	files := map[string][]byte{}
	page := index{}
	for _, f := range result.OutputFiles {
		name := "assets/" + filepath.Base(f.Path)
		files[name] = f.Contents
		switch base := filepath.Base(f.Path); {
		case strings.HasPrefix(base, "app-") && strings.HasSuffix(base, ".js"):
			page.Script = name
		case strings.HasPrefix(base, "app-") && strings.HasSuffix(base, ".css"):
			page.Style = name
		}
	}
	if files["index.html"], err = page.html(); err != nil {
		return nil, err
	}
	files["licenses.txt"], err = licenses(root, result.Metafile)
	return files, err
}

// index is the page that loads the bundle.
type index struct{ Script, Style string }

func (p index) html() ([]byte, error) {
	if p.Script == "" || p.Style == "" {
		return nil, fmt.Errorf("esbuild wrote script %q and style %q; both are needed", p.Script, p.Style)
	}
	t, err := template.ParseFiles(filepath.Join(app, "index.html"))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, p)
	return b.Bytes(), err
}

// licenses returns the license texts of the packages in the bundle.
func licenses(root, metafile string) ([]byte, error) {
	var meta struct {
		Inputs map[string]struct{} `json:"inputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return nil, err
	}
	var packages []string
	for input := range meta.Inputs {
		_, rest, ok := strings.Cut(input, "node_modules/")
		if !ok {
			continue
		}
		parts := strings.SplitN(rest, "/", 3)
		name := parts[0]
		if strings.HasPrefix(name, "@") {
			name += "/" + parts[1]
		}
		packages = append(packages, name)
	}
	slices.Sort(packages)
	var b bytes.Buffer
	b.WriteString("The pages of this site contain the following packages.\n")
	for _, name := range slices.Compact(packages) {
		text, err := license(filepath.Join(root, "node_modules", filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "\n%s\n\n%s\n", name, bytes.TrimSpace(text))
	}
	return b.Bytes(), nil
}

// license returns the name, version and license text of the package in a directory.
func license(dir string) ([]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "[Ll][Ii][Cc][Ee][Nn][SsCc][Ee]*"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no file LICENSE: a package without a license text can't be published", dir)
	}
	return os.ReadFile(names[0])
}
