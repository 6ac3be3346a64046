package materialize_test

import (
	"fmt"
	"math"
	"testing"

	"surprisal.dev/runner/artifact"
)

// TestEqual checks how many documents are equal to another.
func TestEqual(t *testing.T) {
	var many []string
	for i := range 2 * artifact.MostDistinct {
		many = append(many, fmt.Sprint(i))
	}
	for i := range artifact.MostDistinct {
		many = append(many, fmt.Sprint(2*i))
	}
	for _, test := range []struct {
		what   string
		rows   []string
		want   float64
		within float64
	}{
		{"one row", []string{"a"}, 0, 0},
		{"different rows", []string{"a", "b", "ab"}, 0, 0},
		{"two and three equal rows", []string{"a", "b", "c", "b", "a", "b"}, 5, 0},
		{"two thirds of more rows than are counted", many, 2 * artifact.MostDistinct, 0.02},
	} {
		m, err := lines(test.rows...).materialize(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.result.Measured[artifact.MeasuredEqual]; math.Abs(got-test.want) > test.within*test.want {
			t.Errorf("%s: %v documents, want %v", test.what, got, test.want)
		}
	}
}
