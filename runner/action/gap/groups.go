package gap

import (
	"maps"
	"slices"
	"strings"
)

// Group is a group of datasets. Datasets are their positions, in order.
type Group struct {
	Name     string
	Datasets []int
}

// Groups returns the groups of datasets by name: each tag, each beginning of a tag, and each beginning of a dataset's
// name. A group of one dataset with the dataset's name is not among them.
func Groups(names []string, tags [][]string) []Group {
	members := map[string]map[int]bool{}
	add := func(name string, dataset int) {
		if members[name] == nil {
			members[strings.Clone(name)] = map[int]bool{}
		}
		members[name][dataset] = true
	}
	for i, dataset := range names {
		for _, name := range slices.Concat([]string{dataset}, tags[i]) {
			add(name, i)
			for parent := range parents(name) {
				add(parent, i)
			}
		}
	}
	var groups []Group
	for _, name := range slices.Sorted(maps.Keys(members)) {
		of := members[name]
		if i := slices.Index(names, name); i >= 0 && len(of) == 1 && of[i] {
			continue
		}
		groups = append(groups, Group{name, slices.Sorted(maps.Keys(of))})
	}
	return groups
}
