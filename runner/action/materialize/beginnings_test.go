package materialize

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestShared compares the bytes that two texts begin with alike with those that a comparison of each byte finds.
func TestShared(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("ab"[random.IntN(2)])
		}
		return b.String()
	}
	for range 20_000 {
		beginning := text(random.IntN(100))
		a, b := beginning+text(random.IntN(20)), beginning+text(random.IntN(20))
		want := 0
		for want < min(len(a), len(b)) && a[want] == b[want] {
			want++
		}
		if got := shared(a, b); got != want {
			t.Fatalf("%q and %q share %d bytes, want %d", a, b, got, want)
		}
	}
}

// BenchmarkBeginnings adds rows that share all but their ends.
func BenchmarkBeginnings(b *testing.B) {
	prompt := strings.Repeat("x", batchBytes/2)
	rows := []string{prompt + "a", prompt + "b", prompt + "c"}
	b.SetBytes(int64(len(rows[0])))
	var all beginnings
	for i := 0; b.Loop(); i++ {
		all.add(rows[i%len(rows)])
	}
}
