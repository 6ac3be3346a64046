package wire

import (
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
)

// fromActivations returns nil for no activations.
func fromActivations(a protocol.Activations) *pluginpb.Activations {
	if a.Positions == 0 && len(a.Sites) == 0 && len(a.Dimensions) == 0 {
		return nil
	}
	m := &pluginpb.Activations{Positions: a.Positions}
	for _, s := range a.Sites {
		m.SiteLargest, m.SiteMedian = append(m.SiteLargest, s.Largest), append(m.SiteMedian, s.Median)
	}
	for _, d := range a.Dimensions {
		m.Dimensions = append(m.Dimensions, &pluginpb.DimensionActivations{
			Dimension: d.Dimension, Sites: d.Sites, Positions: d.Positions, Largest: d.Largest,
		})
	}
	return m
}

// toActivations undoes fromActivations. Where the medians or the largest magnitudes of sites are fewer, the rest is 0.
func toActivations(m *pluginpb.Activations) protocol.Activations {
	a := protocol.Activations{Positions: m.GetPositions()}
	if n := max(len(m.GetSiteLargest()), len(m.GetSiteMedian())); n > 0 {
		a.Sites = make([]protocol.SiteActivations, n)
	}
	for i, v := range m.GetSiteLargest() {
		a.Sites[i].Largest = v
	}
	for i, v := range m.GetSiteMedian() {
		a.Sites[i].Median = v
	}
	for _, d := range m.GetDimensions() {
		a.Dimensions = append(a.Dimensions, protocol.DimensionActivations{
			Dimension: d.GetDimension(), Sites: d.GetSites(), Positions: d.GetPositions(), Largest: d.GetLargest(),
		})
	}
	return a
}

// activationBytes estimates the size of activations on the wire.
func activationBytes(a protocol.Activations) int {
	size := 10 * len(a.Sites)
	for _, d := range a.Dimensions {
		size += 25 + len(d.Sites)
	}
	return size
}
