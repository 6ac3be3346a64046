package site

import (
	"context"
	"maps"
	"slices"

	"surprisal.dev/internal/glob"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/terminal"
)

// choice decides what is published.
type choice struct {
	text     action.Text
	patterns []*glob.Glob
	tags     []string
}

func newChoice(o Options) (choice, error) {
	c := choice{text: o.Text, tags: o.Tags}
	for _, pattern := range o.Datasets {
		g, err := glob.Parse(pattern)
		if err != nil {
			return c, invalid("datasets: pattern %q: %v", pattern, err)
		}
		c.patterns = append(c.patterns, g)
	}
	return c, nil
}

func (c choice) publishes(dataset string, tags []string) bool {
	named := len(c.patterns) == 0 || slices.ContainsFunc(c.patterns, func(g *glob.Glob) bool { return g.Match(dataset) })
	tagged := len(c.tags) == 0 || slices.ContainsFunc(c.tags, func(t string) bool { return slices.Contains(tags, t) })
	return named && tagged
}

// check fails if a pattern or a tag chooses no dataset that has a score, or if all of them together choose none.
func (c choice) check(ctx context.Context, o Options, experiments []Experiment) error {
	if len(c.patterns)+len(c.tags) == 0 {
		return nil
	}
	names, tags, published := map[string]bool{}, map[string]bool{}, false
	for i := range experiments {
		scores, err := experiments[i].scores(ctx)
		if err != nil {
			return err
		}
		for _, s := range scores {
			names[s.Dataset] = true
			for _, tag := range s.Tags {
				tags[tag] = true
			}
			published = published || c.publishes(s.Dataset, s.Tags)
		}
	}
	for i, g := range c.patterns {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(names)), g.Match) {
			return invalid("no dataset with a score matches %q; there are %s", o.Datasets[i], few(names))
		}
	}
	for _, tag := range c.tags {
		if !tags[tag] {
			return invalid("no dataset with a score has the tag %q; there are %s", tag, few(tags))
		}
	}
	if !published {
		return invalid("no dataset has both a name that matches %q and a tag of %q; choose fewer of them", o.Datasets, c.tags)
	}
	return nil
}

// few lists some of the names.
func few(names map[string]bool) string {
	if len(names) == 0 {
		return "none"
	}
	var visible []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		visible = append(visible, protocol.Visible(name))
	}
	return terminal.Few(visible)
}
