// Command bundle writes the site's pages from their TypeScript: it installs the packages of package-lock.json with npm,
// checks the types, and bundles with esbuild.
//
//	go run ./runner/site/bundle OUT
//
// It runs in the repository root. Equal sources give equal files. Only this command needs Node: its output is committed.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// app is the directory of the sources.
const app = "runner/site/app"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./runner/site/bundle OUT")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

// write replaces the directory out by the bundle, and leaves it as it is if there is an error.
func write(out string) error {
	for _, command := range [][]string{
		{"npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"},
		{filepath.Join("node_modules", ".bin", "tsc"), "--noEmit"},
	} {
		if err := run(command); err != nil {
			return err
		}
	}
	files, err := bundle()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func run(command []string) error {
	if command[0] == "npm" {
		if _, err := exec.LookPath("npm"); err != nil {
			return fmt.Errorf("npm is missing (%w): install Node 20 or later, which only this command needs", err)
		}
	}
	c := exec.Command(command[0], command[1:]...)
	c.Dir, c.Stdout, c.Stderr = app, os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%v in %s: %w", command, app, err)
	}
	return nil
}
