// A table of several models by datasets: the bits per byte of each, and its gap to the baseline.
import { sideOf } from "site/bar";
import type { Column } from "site/columns";
import { count, decimal, interval, signed } from "site/format";
import { Figure } from "site/page";
import { Table } from "site/table";
import { folded, named, small } from "gap/columns";
import type { GapRow } from "gap/data";
import type { Pair } from "score/pair";

/** A dataset, with its comparison for each model; undefined where they cannot be compared. */
interface Row {
  name: string;
  of: (GapRow | undefined)[];
  bytes: number;
  baseline: number | null;
}

export function Many({ models, baseline, pairs }: { models: string[]; baseline: string; pairs: Pair[] }) {
  const rows = rowsOf(pairs);
  const overall = rowOf("all datasets", pairs.map((p) => p.overall));
  const columns: Column<Row>[] = [
    { key: "name", title: "Dataset", value: (r) => r.name },
    ...models.flatMap((m, i) => gapTo(m, i)),
    { key: "baseline_bpb", title: baseline, unit: "baseline, bits per byte", number: true, value: (r) => r.baseline, text: (r) => decimal(r.baseline) },
    ...models.map((m, i): Column<Row> => ({
      key: `${m}_bpb`, title: m, unit: "bits per byte", number: true, value: (r) => r.of[i]?.model_a_bpb, text: (r) => decimal(r.of[i]?.model_a_bpb),
    })),
    { key: "bytes", title: "Bytes", number: true, value: (r) => r.bytes, text: (r) => count(r.bytes) },
  ];
  return (
    <>
      <dl class="figures">
        <Figure title={`baseline: ${baseline}`} value={decimal(overall.baseline)} note="bits per byte" />
        {models.map((m, i) => {
          const o = pairs[i]!.overall;
          return <Figure title={`${m} − ${baseline}`} value={signed(o.gap_bpb)} note={`95% interval ${interval(o.gap_low, o.gap_high)}: ${named(o.verdict, { a: m, b: baseline })}`} />;
        })}
      </dl>
      <p class="hint">
        Gaps to {baseline} in bits per byte, with 95% intervals: positive means that the model is worse. A colored gap is beyond doubt among the datasets
        of its model; choose that model alone to see its q-values.
      </p>
      <Table name="datasets" rows={rows} columns={columns} sort="-bytes" total={rows.length > 1 ? overall : undefined} bytes={(r) => r.bytes}
        folded={{ ...folded, is: (r) => r.of.every((g) => !g || g.verdict === small) }} />
    </>
  );
}

/** gapTo returns the columns of the gap of model i. */
function gapTo(model: string, i: number): Column<Row>[] {
  const cell = (r: Row) => {
    const g = r.of[i];
    return g ? <><span class={sideOf(g)}>{signed(g.gap_bpb)}</span> <small>{interval(g.gap_low, g.gap_high)}</small></> : "–";
  };
  const text = (r: Row) => {
    const g = r.of[i];
    return g ? `${signed(g.gap_bpb)} ${interval(g.gap_low, g.gap_high)}` : "–";
  };
  return [
    { key: `${model}_gap_bpb`, title: model, unit: "gap and 95% interval", number: true, value: (r) => r.of[i]?.gap_bpb, text, cell },
    { key: `${model}_gap_low`, title: "low", data: true, value: (r) => r.of[i]?.gap_low },
    { key: `${model}_gap_high`, title: "high", data: true, value: (r) => r.of[i]?.gap_high },
    { key: `${model}_verdict`, title: "verdict", data: true, value: (r) => r.of[i]?.verdict },
  ];
}

function rowsOf(pairs: Pair[]): Row[] {
  const of = pairs.map((p) => new Map(p.rows.map((r) => [r.name, r])));
  const names = new Set(pairs.flatMap((p) => p.rows.map((r) => r.name)));
  return [...names].map((name) => rowOf(name, of.map((rows) => rows.get(name))));
}

/** rowOf returns a row. The bytes and the losses of the baseline are the same in each comparison that there is. */
function rowOf(name: string, of: (GapRow | undefined)[]): Row {
  const most = of.reduce((x, y) => (y && (!x || y.bytes > x.bytes) ? y : x), undefined);
  return { name, of, bytes: most?.bytes ?? 0, baseline: most?.model_b_bpb ?? null };
}
