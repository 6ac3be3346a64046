package materialize_test

import (
	"strings"
	"testing"

	"surprisal.dev/runner/plan"
)

// TestRepeated checks how many bytes rows repeat of the row before them.
func TestRepeated(t *testing.T) {
	prompt := strings.Repeat("It snowed. ", 10)
	long := strings.Repeat("x", 20<<10)
	for _, test := range []struct {
		what string
		rows []string
		want float64
	}{
		{"one row", []string{prompt}, 0},
		{"the same prompt", []string{prompt + "a", prompt + "b", prompt + "ab"}, 110 + 110},
		{"equal rows", []string{prompt, prompt}, 110},
		{"another row between", []string{prompt + "a", "x", prompt + "b"}, 0},
		{"few bytes", []string{prompt[:63] + "a", prompt[:63] + "b"}, 0},
		{"just enough bytes", []string{prompt[:64] + "a", prompt[:64] + "b"}, 64},
		{"beyond a batch", []string{long + "a", long + "b"}, 16 << 10},
	} {
		m, err := lines(test.rows...).materialize(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.result.Measured[plan.MeasuredRepeated]; got != test.want {
			t.Errorf("%s: %v bytes, want %v", test.what, got, test.want)
		}
	}
}
