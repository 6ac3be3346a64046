package junittest_test

import (
	"fmt"
	"strings"
	"testing"

	"surprisal.dev/runner/ci/junittest"
)

// A report with other elements, attributes or counts than the format's is an error.
func TestStrict(t *testing.T) {
	const counts = `name="s" tests="%d" failures="%d" errors="0" skipped="0" time="0"`
	suite := func(tests, failures int, cases string) string {
		of := fmt.Sprintf(counts, tests, failures)
		return fmt.Sprintf(`<testsuites %s><testsuite %s>%s</testsuite></testsuites>`, of, of, cases)
	}
	const one = `<testcase name="a" classname="c" time="0"></testcase>`
	const failing = `<testcase name="b" classname="c" time="0"><failure message="m">t</failure></testcase>`
	if cases, err := junittest.Read([]byte(suite(2, 1, one+failing))); err != nil || len(cases) != 2 || cases[1].Outcome != "failure" || cases[1].Text != "t" {
		t.Errorf("%+v, %v", cases, err)
	}
	for want, report := range map[string]string{
		"EOF":                          suite(1, 0, "<testcase>")[:40],
		"no root element":              "",
		"the root is testsuite":        "<testsuite/>",
		"want 1":                       suite(2, 0, one),
		"want 2":                       suite(1, 0, one+strings.Replace(one, `"a"`, `"b"`, 1)),
		"two cases":                    suite(2, 0, one+one),
		"two outcomes":                 suite(1, 1, strings.Replace(failing, "</testcase>", `<error message="m"></error></testcase>`, 1)),
		"testcase has an element x":    suite(1, 0, strings.Replace(one, "></testcase>", "><x/></testcase>", 1)),
		"testcase has the attribute":   suite(1, 0, strings.Replace(one, "name=", `x="" name=`, 1)),
		"has no attribute classname":   suite(1, 0, `<testcase name="a" time="0"/>`),
		`testcase has the text "text"`: suite(1, 0, strings.Replace(one, "></testcase>", ">text</testcase>", 1)),
	} {
		if _, err := junittest.Read([]byte(report)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
