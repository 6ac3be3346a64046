package ci

import (
	"path/filepath"
	"strings"

	"surprisal.dev/runner/spec"
)

// Place is the system that runs a job, as far as its variables tell.
type Place struct {
	// Root is the top of the checkout, or "".
	Root string
	// Base is the revision to compare with, or "", and BaseFrom the variable that names it.
	Base, BaseFrom string
	// Summary is the file for a Markdown summary, and Output the one for variables of later steps; or "".
	Summary, Output string
	// Annotates reports whether commands in the log become annotations.
	Annotates bool
}

// Detect returns the place that variables of the environment describe. Without those of a known system it is empty.
func Detect(variable func(string) string) Place {
	switch {
	case variable("GITHUB_ACTIONS") == "true":
		p := Place{
			Root: variable("GITHUB_WORKSPACE"), Summary: variable("GITHUB_STEP_SUMMARY"), Output: variable("GITHUB_OUTPUT"), Annotates: true,
		}
		// Of a job for a pull request only.
		if base := variable("GITHUB_BASE_REF"); base != "" {
			p.Base, p.BaseFrom = "origin/"+base, "GITHUB_BASE_REF"
		}
		return p
	case variable("GITLAB_CI") == "true":
		p := Place{Root: variable("CI_PROJECT_DIR")}
		// A job has the commits of the source branch, so the point where that left the target is more likely to be there.
		if base := variable("CI_MERGE_REQUEST_DIFF_BASE_SHA"); base != "" {
			p.Base, p.BaseFrom = base, "CI_MERGE_REQUEST_DIFF_BASE_SHA"
		} else if base := variable("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"); base != "" {
			p.Base, p.BaseFrom = "origin/"+base, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"
		}
		return p
	}
	return Place{}
}

// Position returns a position in the spec of a directory as one in the repository. It has no file if that is outside of
// the checkout.
func (p Place) Position(dir string, at spec.Position) Position {
	if at.Line == 0 || p.Root == "" {
		return Position{}
	}
	file := at.File
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	name, err := filepath.Rel(withoutLinks(p.Root), withoutLinks(file))
	if err != nil || name == ".." || strings.HasPrefix(name, "../") {
		return Position{}
	}
	return Position{filepath.ToSlash(name), at.Line}
}

// withoutLinks returns a path without links, or the path itself if that does not exist.
func withoutLinks(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}
