// Package junittest reads JUnit reports strictly, for tests: what is not in the format, or counted wrongly, is an error.
//
// It imports no other package of this module.
package junittest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Case is a test case. Outcome is "failure", "error", "skipped", or "" for one that passes.
type Case struct {
	Suite, Class, Name, File string
	Line                     int
	Outcome, Message, Text   string
	Properties               map[string]string
}

// element is an element of XML with its children.
type element struct {
	name       string
	attributes map[string]string
	children   []*element
	text       string
}

// form is what an element may have in addition to text: attributes that it must have, others, and children.
type form struct {
	must, may, children []string
	text                bool
}

func forms() map[string]form {
	counts := []string{"name", "tests", "failures", "errors", "skipped", "time"}
	outcome := form{must: []string{"message"}, may: []string{"type"}, text: true}
	return map[string]form{
		"testsuites": {must: counts, children: []string{"testsuite"}},
		"testsuite":  {must: counts, may: []string{"timestamp", "hostname"}, children: []string{"testcase"}},
		"testcase": {must: []string{"name", "classname", "time"}, may: []string{"file", "line"},
			children: []string{"properties", "skipped", "error", "failure"}},
		"properties": {children: []string{"property"}},
		"property":   {must: []string{"name", "value"}},
		"skipped":    outcome, "error": outcome, "failure": outcome,
	}
}

// Read returns the cases of a report.
func Read(report []byte) ([]Case, error) {
	root, err := parse(report)
	if err != nil {
		return nil, err
	}
	if root.name != "testsuites" {
		return nil, fmt.Errorf("the root is %s", root.name)
	}
	if err := root.check(); err != nil {
		return nil, err
	}
	var all []Case
	suites := map[string]bool{}
	for _, suite := range root.children {
		name := suite.attributes["name"]
		if suites[name] {
			return nil, fmt.Errorf("two suites %q", name)
		}
		suites[name] = true
		cases, err := suite.cases()
		if err != nil {
			return nil, err
		}
		if err := suite.counted(cases); err != nil {
			return nil, err
		}
		all = append(all, cases...)
	}
	return all, root.counted(all)
}

func parse(report []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(report))
	var open []*element
	var root *element
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local, attributes: map[string]string{}}
			for _, a := range token.Attr {
				e.attributes[a.Name.Local] = a.Value
			}
			if len(open) > 0 {
				parent := open[len(open)-1]
				parent.children = append(parent.children, e)
			} else if root == nil {
				root = e
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(token)
			}
		case xml.ProcInst:
		default:
			return nil, fmt.Errorf("unexpected %T", token)
		}
	}
	if root == nil {
		return nil, errors.New("no root element")
	}
	return root, nil
}

// check compares an element and its children with their forms.
func (e *element) check() error {
	f, ok := forms()[e.name]
	if !ok {
		return fmt.Errorf("unknown element %s", e.name)
	}
	for _, name := range f.must {
		if _, ok := e.attributes[name]; !ok {
			return fmt.Errorf("%s has no attribute %s", e.name, name)
		}
	}
	for name := range maps.Keys(e.attributes) {
		if !slices.Contains(f.must, name) && !slices.Contains(f.may, name) {
			return fmt.Errorf("%s has the attribute %s", e.name, name)
		}
	}
	if !f.text && strings.TrimSpace(e.text) != "" {
		return fmt.Errorf("%s has the text %q", e.name, e.text)
	}
	for _, child := range e.children {
		if !slices.Contains(f.children, child.name) {
			return fmt.Errorf("%s has an element %s", e.name, child.name)
		}
		if err := child.check(); err != nil {
			return err
		}
	}
	return nil
}

// cases returns the cases of a suite.
func (e *element) cases() (all []Case, err error) {
	known := map[[2]string]bool{}
	for _, x := range e.children {
		c := Case{Suite: e.attributes["name"], Class: x.attributes["classname"], Name: x.attributes["name"], File: x.attributes["file"]}
		if line := x.attributes["line"]; line != "" {
			if c.Line, err = strconv.Atoi(line); err != nil {
				return nil, err
			}
		}
		id := [2]string{c.Class, c.Name}
		if known[id] {
			return nil, fmt.Errorf("two cases %q", id)
		}
		known[id] = true
		for _, child := range x.children {
			if child.name == "properties" {
				c.Properties = map[string]string{}
				for _, p := range child.children {
					c.Properties[p.attributes["name"]] = p.attributes["value"]
				}
				continue
			}
			if c.Outcome != "" {
				return nil, fmt.Errorf("%s has two outcomes", c.Name)
			}
			c.Outcome, c.Message, c.Text = child.name, child.attributes["message"], child.text
		}
		all = append(all, c)
	}
	return all, nil
}

// counted compares the counts of an element with its cases.
func (e *element) counted(cases []Case) error {
	n := map[string]int{}
	for _, c := range cases {
		n[c.Outcome]++
	}
	want := map[string]int{"tests": len(cases), "failures": n["failure"], "errors": n["error"], "skipped": n["skipped"]}
	for name, count := range want {
		if got := e.attributes[name]; got != strconv.Itoa(count) {
			return fmt.Errorf("%s %q: %s=%q, want %d", e.name, e.attributes["name"], name, got, count)
		}
	}
	if _, err := strconv.ParseFloat(e.attributes["time"], 64); err != nil {
		return err
	}
	return nil
}
