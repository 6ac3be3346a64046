package statistics

import "testing"

// Documents of a cluster are one unit, whether or not they follow each other; those without a name are units by
// themselves.
func TestClusters(t *testing.T) {
	var c Clusters
	c.Add("a", 1, 2)
	c.Add("", 3, 4)
	c.Add("b", 5, 6)
	c.Add("", 7, 8)
	c.Add("a", 9, 10)
	var want Sums
	for _, unit := range [][2]float64{{3, 4}, {7, 8}, {10, 12}, {5, 6}} {
		want.Add(unit[0], unit[1])
	}
	if got := c.Sums(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Documents of a shard that follow each other are one unit.
func TestRuns(t *testing.T) {
	var r Runs[string]
	r.Add("", 1, 2)
	r.Add("", 3, 4)
	r.Add("x", 5, 6)
	r.Add("x", 0, 0)
	var want Sums
	want.Add(4, 6)
	want.Add(5, 6)
	if got := r.Sums(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := r.Sums(); got != want {
		t.Errorf("asked again: got %+v", got)
	}
}
