package protocol

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The iteration gives each scored token's bytes their share, with or without explicit starts. A loss without bytes goes
// to the next scored token, once.
func TestShares(t *testing.T) {
	for _, test := range []struct {
		name    string
		tokens  Tokens
		want    []string
		noBytes float64
		perByte []float64
	}{
		{
			"losses without bytes, before and after an unscored token and at the end",
			Tokens{
				Starts: []int32{0, 1, 1, 3, 5, 5, 7}, Ends: []int32{1, 1, 3, 5, 5, 7, 7}, NLL: []float64{1, 2, 4, 0, 8, 6, 5},
				UnscoredStarts: []int32{3}, UnscoredEnds: []int32{5},
			},
			[]string{"[0, 1) 1", "[1, 3) 3", "[5, 7) 7"}, 5, []float64{1, 3, 3, 0, 0, 7, 7},
		}, {
			"two losses without bytes are passed on together, over an unscored token, once",
			Tokens{
				Starts: []int32{0, 0, 0, 1, 2}, Ends: []int32{0, 0, 1, 2, 3}, NLL: []float64{1, 2, 0, 4, 8},
				UnscoredStarts: []int32{0}, UnscoredEnds: []int32{1},
			},
			[]string{"[1, 2) 7", "[2, 3) 8"}, 0, []float64{0, 7, 8},
		}, {
			"several unscored ranges, of which one holds two tokens",
			Tokens{
				Starts: []int32{0, 1, 2, 3, 4}, Ends: []int32{1, 2, 3, 4, 6}, NLL: []float64{0, 1, 0, 0, 2},
				UnscoredStarts: []int32{0, 2}, UnscoredEnds: []int32{1, 4},
			},
			[]string{"[1, 2) 1", "[4, 6) 1"}, 0, []float64{0, 1, 0, 0, 1, 1},
		},
		{"no tokens", Tokens{}, nil, 0, []float64{}},
	} {
		dense := test.tokens
		dense.Starts = nil // each starts where the previous token ended
		for name, tokens := range map[string]Tokens{"with starts": test.tokens, "without": dense} {
			var got []string
			shares := tokens.Shares()
			for {
				start, end, share, ok := shares.Next()
				if !ok {
					break
				}
				if shares.NoBytes() != 0 {
					t.Errorf("%s, %s: %v is left when a token has just taken it", test.name, name, shares.NoBytes())
				}
				got = append(got, fmt.Sprintf("[%d, %d) %v", start, end, share))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", test.name, name, diff)
			}
			if shares.NoBytes() != test.noBytes || tokens.Spread(func(int32, int32, float64) {}) != test.noBytes {
				t.Errorf("%s, %s: %v is left, want %v", test.name, name, shares.NoBytes(), test.noBytes)
			}
			perByte := slices.Repeat([]float64{99}, len(test.perByte)) // previous values are overwritten
			tokens.PerByte(perByte)
			if diff := cmp.Diff(test.perByte, perByte); diff != "" {
				t.Errorf("%s, %s: losses of bytes (-want +got):\n%s", test.name, name, diff)
			}
		}
	}
}
