package checkpoint

// Shardable rejects a number of ranks over which the layers cannot be divided. Each rank has key-value heads with their
// queries or, if there are more ranks than key-value heads, some queries of one head. Each rank also has columns of
// each MLP.
func (a Architecture) Shardable(ranks int) error {
	for _, l := range a.Layers {
		heads, keys := l.Attention.Heads, l.Attention.KVHeads
		if keys < ranks && (ranks%keys != 0 || heads%ranks != 0) {
			return invalid("tensorParallel: %d ranks cannot share %d heads with %d key-value heads; use at most %d, or a multiple of it that "+
				"divides the heads", ranks, heads, keys, keys)
		}
		if l.MLP.Width < ranks {
			return invalid("tensorParallel: %d ranks cannot share an MLP of width %d", ranks, l.MLP.Width)
		}
	}
	return nil
}
