package checkpoint

// Shardable refuses a number of ranks over which the layers cannot be divided: each has key-value heads with their queries, or, where
// there are more ranks than key-value heads, some queries of one; and columns of each MLP.
func (a Architecture) Shardable(ranks int) error {
	for _, l := range a.Layers {
		heads, keys := l.Attention.Heads, l.Attention.KVHeads
		if keys < ranks && (ranks%keys != 0 || heads%ranks != 0) {
			return invalid("tensorParallel: %d ranks cannot share %d heads with %d key-value heads; take at most %d, or a multiple of it that "+
				"divides the heads", ranks, heads, keys, keys)
		}
		if l.MLP.Width < ranks {
			return invalid("tensorParallel: %d ranks cannot share an MLP of width %d", ranks, l.MLP.Width)
		}
	}
	return nil
}
