package materialize_test

import (
	"strings"
	"testing"

	"surprisal.dev/runner/plan"
)

// distinct returns rows of a prompt and 200 other bytes, of which the first differ.
func distinct(prompt string, rows int) (all []string) {
	for i := range rows {
		all = append(all, prompt+strings.Repeat(string(rune('"'+i)), 200))
	}
	return all
}

// TestRepeated checks how many bytes rows repeat of the rows before them.
func TestRepeated(t *testing.T) {
	prompt := strings.Repeat("It snowed. ", 10)
	long := strings.Repeat("x", 20<<10)
	for _, test := range []struct {
		what string
		rows []string
		want float64
	}{
		{"one row", []string{prompt}, 0},
		{"the same prompt", []string{prompt + "a", prompt + "b", prompt + "ab"}, 110 + 111},
		{"equal rows", []string{prompt, prompt}, 110},
		{"another row between", []string{prompt + "a", "x", prompt + "b"}, 110},
		{"two prompts in turn", []string{prompt + "a", "Q" + prompt, prompt + "b", "Q" + prompt + "b", prompt + "c"}, 110 + 111 + 110},
		{"a row within another", []string{prompt + "a", prompt, prompt + "ab"}, 110 + 111},
		{"another batch between", []string{prompt + "a", long, prompt + "b"}, 0},
		{"two batches, of 61 and 29 rows", distinct(prompt, 90), 110 * (60 + 28)},
		{"few bytes", []string{prompt[:63] + "a", prompt[:63] + "b"}, 0},
		{"just enough bytes", []string{prompt[:64] + "a", prompt[:64] + "b"}, 64},
		{"longer than a batch", []string{long + "a", long + "b"}, 0},
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
