package graph

import (
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
)

// Rank is one of Count ranks over which the weights are sharded.
type Rank struct{ Index, Count int }

// Span is the range [From, To) of an axis.
type Span struct{ From, To int64 }

// Len is the number of elements.
func (s Span) Len() int64 { return s.To - s.From }

// times is the span of elements for a span of units that have size elements each.
func (s Span) times(size int64) Span { return Span{s.From * size, s.To * size} }

// Share returns the rank's part of n units. The sizes of the parts differ by at most one.
func (r Rank) Share(n int64) Span {
	i, ranks := int64(r.Index), int64(r.Count)
	return Span{i * n / ranks, (i + 1) * n / ranks}
}

// evenly divides n units among the ranks.
func evenly(n int64) func(Rank) Span { return func(r Rank) Span { return r.Share(n) } }

// mostRanks is more than the devices of a machine.
const mostRanks = 64

// Shardable rejects a number of ranks over which the layers cannot be divided, and names those over which they can.
func (a Architecture) Shardable(ranks int) error {
	err := a.shardable(ranks)
	if err == nil {
		return nil
	}
	var possible []string
	for n := range mostRanks {
		if a.shardable(n+1) == nil {
			possible = append(possible, strconv.Itoa(n+1))
		}
	}
	return protocol.Invalid("%v; possible are %s", err, strings.Join(possible, ", "))
}

func (a Architecture) shardable(ranks int) error {
	for _, l := range a.Layers {
		if err := l.Mixer.Shardable(ranks); err != nil {
			return err
		}
		if err := l.FFN.Shardable(ranks); err != nil {
			return err
		}
	}
	return nil
}
