package score

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ComputedDifferences lists the differences in the hardware and software that computed the scores of models. computed
// has the descriptions of each model's scores. Names that some model does not have are ignored: backends have different
// components.
func ComputedDifferences(models []string, computed [][]map[string]string) []string {
	differences := []string{}
	values := make([]map[string]map[string]bool, len(models)) // by model, name and value
	for i, scores := range computed {
		values[i] = map[string]map[string]bool{}
		for _, score := range scores {
			for name, value := range score {
				if values[i][name] == nil {
					values[i][name] = map[string]bool{}
				}
				values[i][name][value] = true
			}
		}
	}
	if len(models) == 0 {
		return differences
	}
	for _, name := range slices.Sorted(maps.Keys(values[0])) {
		all := map[string]bool{}
		var by []string
		for i, model := range models {
			maps.Copy(all, values[i][name])
			if of := slices.Sorted(maps.Keys(values[i][name])); len(of) > 0 {
				by = append(by, fmt.Sprintf("%q has %s", model, strings.Join(of, " and ")))
			}
		}
		if len(all) > 1 && len(by) == len(models) {
			differences = append(differences, name+": "+strings.Join(by, ", "))
		}
	}
	return differences
}
