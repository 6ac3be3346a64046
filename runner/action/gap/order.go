package gap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// order is what the rows of a table tell about their order.
type order struct {
	// rows is true if they are in the order of shard and row number.
	rows bool
	// named is true if rows name their cluster, and adjacent if those of a cluster follow each other.
	named, adjacent bool
}

// arrange sorts the tables of both sides that are not in the order of shard and row number, into dir. If the rows of a
// cluster do not follow each other in that order, both tables are sorted by cluster first: sums over clusters then need
// no more memory than sums over documents.
func arrange(ctx context.Context, a, b Side, dir string) (Side, Side, error) {
	sides := [2]Side{a, b}
	for i := range sides {
		sides[i].Datasets = append([]Table(nil), sides[i].Datasets...)
	}
	for i := range sides[0].Datasets {
		tables := [2]*Table{&sides[0].Datasets[i], &sides[1].Datasets[i]}
		var found [2]order
		for j, t := range tables {
			var err error
			if found[j], err = orderOf(ctx, t.ScoredPath); err != nil {
				return a, b, err
			}
		}
		named := found[0].named || found[1].named
		grouped := named && (!found[0].rows || !found[0].adjacent || !found[1].rows || !found[1].adjacent)
		if grouped && found[0].named != found[1].named {
			return a, b, protocol.Invalid("dataset %q: the documents of a cluster do not follow each other, and only one of the tables of models %q and %q "+
				"names clusters; sort the source by the field of the cluster, or remove cluster from the dataset", tables[0].Dataset, a.Name, b.Name)
		}
		for j, t := range tables {
			if t.grouped = grouped; found[j].rows && !grouped {
				continue
			}
			if err := t.sort(ctx, dir); err != nil {
				return a, b, err
			}
		}
	}
	return sides[0], sides[1], nil
}

// compare compares the places of two documents in a table.
func (t *Table) compare(x, y *artifact.ScoredDocument) int {
	if t.grouped {
		if c := cmp.Compare(x.Cluster, y.Cluster); c != 0 {
			return c
		}
	}
	return artifact.CompareRows(x.Shard, x.Row, y.Shard, y.Row)
}

// sort replaces the table by a sorted copy in dir.
func (t *Table) sort(ctx context.Context, dir string) error {
	into, err := os.MkdirTemp(dir, "sorted-*")
	if err != nil {
		return err
	}
	from := t.ScoredPath
	t.ScoredPath = filepath.Join(into, artifact.ScoredFile)
	if err := sortFile(ctx, from, t.ScoredPath, t.grouped); err != nil {
		return fmt.Errorf("sorting %s: %w", from, err)
	}
	return nil
}

// sortFile writes a sorted copy of a table. It uses files in the directory of the copy for rows that do not fit in memory.
func sortFile(ctx context.Context, from, to string, clusters bool) error {
	in, err := artifact.OpenScored(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	w := artifact.NewScoredWriter(out)
	sort := artifact.SortScored
	if clusters {
		sort = artifact.SortClusters
	}
	for row, err := range sort(ctx, in.All(), filepath.Dir(to)) {
		if err != nil {
			return err
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}

// orderOf returns the order of a table.
func orderOf(ctx context.Context, path string) (o order, err error) {
	rows, err := artifact.OpenRowClusters(path)
	if err != nil {
		return o, err
	}
	defer rows.Close()
	o = order{rows: true, adjacent: true}
	seen := map[string]struct{}{}
	var before, id artifact.RowCluster
	for first := true; ; first = false {
		switch err := rows.Read(&id); {
		case errors.Is(err, io.EOF):
			return o, nil
		case err != nil:
			return o, err
		}
		if !first && artifact.CompareRows(before.Shard, before.Row, id.Shard, id.Row) > 0 {
			o.rows = false
		}
		if id.Cluster != "" && id.Cluster != before.Cluster {
			o.named = true
			if _, again := seen[id.Cluster]; again {
				o.adjacent = false
			}
			if len(seen) < artifact.MaxClusters {
				seen[id.Cluster] = struct{}{}
			} else {
				o.adjacent = false
			}
		}
		if err := ctx.Err(); err != nil {
			return o, err
		}
		before = id
	}
}
