// Command vet checks packages like go vet, for the platform of GOOS and GOARCH, from source only.
//
// go vet first compiles the dependencies of the packages. For a platform other than that of the tests, this takes minutes
// and is not used by anything else.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"

	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/suite/vet"
	"golang.org/x/tools/go/packages"
)

func main() {
	tags := flag.String("tags", "", "build tags, with commas between them")
	flag.Parse()
	problems, err := check(&packages.Config{BuildFlags: []string{"-tags=" + *tags}}, flag.Args()...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// check returns the problems of packages and their tests, or an error if they cannot be checked.
func check(c *packages.Config, patterns ...string) (problems []string, err error) {
	// Imported packages are also read, because vet needs facts about their functions.
	c.Mode, c.Tests = packages.LoadAllSyntax, true
	loaded, err := packages.Load(c, patterns...)
	if err != nil {
		return nil, err
	}
	packages.Visit(loaded, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			problems = append(problems, e.Error())
		}
	})
	if len(problems) > 0 {
		return distinct(problems), nil
	}
	graph, err := checker.Analyze(vet.Suite, loaded, nil)
	if err != nil {
		return nil, err
	}
	for action := range graph.All() {
		if action.Err != nil {
			return nil, fmt.Errorf("%v: %w", action, action.Err)
		}
		if !action.IsRoot {
			continue
		}
		for _, d := range action.Diagnostics {
			problems = append(problems, fmt.Sprintf("%s: %s", action.Package.Fset.Position(d.Pos), d.Message))
		}
	}
	return distinct(problems), nil
}

// distinct sorts problems and drops those of a file that were found once for a package and once for its tests.
func distinct(problems []string) []string {
	slices.Sort(problems)
	return slices.Compact(problems)
}
