package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// row is a supervised row: the target follows the input.
type row struct{ input, target string }

// Limits of the source of a function, in bytes, and the number of examples.
const (
	leastSource, mostSource = 200, 500
	shots                   = 5
)

// fiveShots returns rows that ask for the first sentence of the documentation of functions of the Go installation, after
// five that are answered.
func fiveShots(rows int) ([]row, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), "src", "*", "*.go"))
	if err != nil {
		return nil, err
	}
	var all []row
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		found, err := functions(file)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	if len(all) < shots+rows {
		return nil, fmt.Errorf("%d functions of the Go installation are documented, %d are needed", len(all), shots+rows)
	}
	// Functions of many packages, in the same order on every machine.
	step := len(all) / (shots + rows)
	var examples strings.Builder
	for i := range shots {
		fmt.Fprintf(&examples, "%s%s\n\n", all[i*step].input, all[i*step].target)
	}
	var set []row
	for i := shots; i < shots+rows; i++ {
		set = append(set, row{examples.String() + all[i*step].input, all[i*step].target})
	}
	return set, nil
}

// functions returns a question and its answer for each documented function of a file.
func functions(file string) (all []row, err error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	for _, d := range f.Decls {
		function, ok := d.(*ast.FuncDecl)
		if !ok || function.Doc == nil || function.Body == nil {
			continue
		}
		sentence := new(doc.Package).Synopsis(function.Doc.Text())
		function.Doc = nil
		var source bytes.Buffer
		if err := printer.Fprint(&source, set, function); err != nil {
			return nil, err
		}
		if sentence != "" && source.Len() >= leastSource && source.Len() <= mostSource {
			all = append(all, row{"Function:\n" + source.String() + "\nWhat it does: ", sentence})
		}
	}
	return slices.Clip(all), nil
}
