package materialize

import (
	"fmt"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// clusterBytes is the maximum size of the name of a cluster.
const clusterBytes = 1 << 10

// fields returns the fields that a row has values of.
func (d *parameters) fields() []string {
	if d.Cluster == "" {
		return d.Fields
	}
	return append(slices.Clone(d.Fields), d.Cluster)
}

// split returns the values of the fields of a document, and the cluster that its row names.
func split(d *parameters, row protocol.Row) (values [][]byte, cluster string) {
	if d.Cluster == "" {
		return row.Values, ""
	}
	last := len(row.Values) - 1
	return row.Values[:last], string(row.Values[last])
}

// checkCluster returns the problem of the name of a cluster in a field, or "".
func checkCluster(field, cluster string) string {
	switch {
	case field == "":
		return ""
	case cluster == "":
		return fmt.Sprintf("field %q is empty; it must name the cluster of the row", field)
	case len(cluster) > clusterBytes:
		return fmt.Sprintf("field %q has %d bytes; the name of a cluster has at most %d", field, len(cluster), clusterBytes)
	}
	if at := invalidAt([]byte(cluster)); at >= 0 {
		return fmt.Sprintf("field %q is not valid UTF-8 at byte %d (0x%02X); the name of a cluster is never replaced", field, at, cluster[at])
	}
	return ""
}

// countCluster counts the cluster of the current document.
func (m *materializer) countCluster() error {
	cluster := m.document.Cluster
	if _, seen := m.clusters[cluster]; seen || cluster == "" {
		return nil
	}
	if len(m.clusters) == artifact.MaxClusters {
		return protocol.Invalid("%s row %d: field %q has more than %d values; later steps keep sums of each cluster in memory. "+
			"Name a field with fewer values, or remove cluster from the dataset if its documents are independent",
			m.document.Shard, m.document.Row, m.dataset.Cluster, artifact.MaxClusters)
	}
	m.clusters[strings.Clone(cluster)] = struct{}{}
	m.metadata.Counts.Clusters++
	return nil
}
