// A table of models by datasets.
import type { Column } from "site/columns";
import { count, decimal } from "site/format";
import { Loaded } from "site/loaded";
import type { ViewProps } from "site/page";
import { Table } from "site/table";
import { details, scores, type Score } from "score/data";

interface Row {
  dataset: string;
  tags: string[];
  bytes: number;
  of: Map<string, Score>;
}

export function Models({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => Promise.all([details(entry), scores(entry)])}>
      {([d, all]) => {
        const rows = byDataset(all);
        const columns: Column<Row>[] = [
          { key: "dataset", title: "Dataset", value: (r) => r.dataset, cell: (r) => <>{r.dataset} <small>{r.tags.join(" ")}</small></> },
          ...d.models.map((m): Column<Row> => ({
            key: m.name, title: m.name, number: true, value: (r) => r.of.get(m.name)?.bpb ?? null,
            help: [m.family, m.parameters && `${count(m.parameters)} parameters`].filter(Boolean).join(", "),
            text: (r) => decimal(r.of.get(m.name)?.bpb),
            cell: (r) => { const s = r.of.get(m.name); return <span class={s && s.bpb !== null && s.bpb === best(r) ? "best" : undefined}>{decimal(s?.bpb)}</span>; },
          })),
          { key: "bytes", title: "Bytes", number: true, value: (r) => r.bytes, text: (r) => count(r.bytes) },
        ];
        return (
          <>
            <p class="hint">Bits per byte; the best of each dataset is bold. A difference can be due to chance: compare two models to see intervals.</p>
            <Table name="datasets" rows={rows} columns={columns} sort="dataset" bytes={(r) => r.bytes} words={(r) => [r.dataset, ...r.tags].join("\n")} />
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
    row.of.set(s.model, s);
  }
  return [...rows.values()];
}

function best(r: Row): number {
  return Math.min(...[...r.of.values()].map((s) => s.bpb ?? Infinity));
}
