// A table of models by datasets.
import type { Column } from "site/columns";
import { count, decimal, sizeOf } from "site/format";
import { Loaded } from "site/loaded";
import type { ViewProps } from "site/page";
import { Name, Table } from "site/table";
import { details, scores, sumsOf, tooSmall, type Score } from "score/data";
import { empty, estimate, merge } from "site/statistics";

interface Row {
  dataset: string;
  tags: string[];
  bytes: number;
  of: Map<string, Cell>;
}

/** The bits per byte of a model, and half of their interval. */
interface Cell {
  bpb: number | null;
  half: number | null;
}

export function Models({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => Promise.all([details(entry), scores(entry)])}>
      {([d, all]) => {
        const rows = byDataset(all);
        const columns: Column<Row>[] = [
          { key: "dataset", title: "Dataset", value: (r) => r.dataset, cell: (r) => <><Name of={r.dataset} /> <small>{r.tags.join(" ")}</small></> },
          ...d.models.map((m): Column<Row> => ({
            key: m.name, title: m.name, number: true, value: (r) => r.of.get(m.name)?.bpb ?? null,
            help: [m.family, sizeOf(m)].filter(Boolean).join(", "),
            text: (r) => decimal(r.of.get(m.name)?.bpb),
            cell: (r) => { const c = r.of.get(m.name); return <><span class={c && c.bpb !== null && c.bpb === best(r) ? "best" : undefined}>{decimal(c?.bpb)}</span> {c?.half != null && <small>±{decimal(c.half)}</small>}</>; },
          })),
          { key: "bytes", title: "Bytes", number: true, value: (r) => r.bytes, text: (r) => count(r.bytes) },
        ];
        return (
          <>
            <p class="hint">Bits per byte; the best of each row is bold. After ± is half of a 95% interval, where there is enough text. The same documents under two models differ less than two samples do: compare two models to see whether a difference is due to chance.</p>
            <Table name="datasets" rows={rows} columns={columns} sort="dataset" total={rows.length > 1 ? total(d.models.map((m) => m.name), all, rows) : undefined} bytes={(r) => r.bytes} words={(r) => [r.dataset, ...r.tags].join("\n")} />
          </>
        );
      }}
    </Loaded>
  );
}

function byDataset(all: Score[]): Row[] {
  const rows = new Map<string, Row>();
  for (const s of all) {
    let row = rows.get(s.dataset);
    if (!row) rows.set(s.dataset, (row = { dataset: s.dataset, tags: s.tags, bytes: s.scored_bytes, of: new Map() }));
    row.of.set(s.model, { bpb: s.bpb, half: s.bpb === null || s.bpb_high === null || tooSmall(s) ? null : s.bpb_high - s.bpb });
  }
  return [...rows.values()];
}

/** total returns the row of all datasets: a ratio of sums for each model that has a score on each of them. */
function total(models: string[], all: Score[], rows: Row[]): Row {
  const of = new Map<string, Cell>();
  let bytes = 0;
  for (const model of models) {
    const mine = all.filter((s) => s.model === model && s.scored_bytes > 0);
    if (mine.length < rows.length) continue;
    const sums = empty();
    for (const s of mine) merge(sums, sumsOf(s));
    const e = estimate(sums);
    of.set(model, { bpb: sums.d / sums.w, half: e && e.high - e.value });
    bytes = Math.max(bytes, sums.w);
  }
  return { dataset: "all datasets", tags: [], bytes, of };
}

function best(r: Row): number {
  return Math.min(...[...r.of.values()].map((s) => s.bpb ?? Infinity));
}
