// The page of a series: bits per byte over the models of a training run, for each slice.
import { Chart } from "site/chart";
import type { Column } from "site/columns";
import { count, decimal, interval, probability, signed } from "site/format";
import { json, role } from "site/load";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import type { Page, ViewProps } from "site/page";
import { open, whole } from "site/parquet";
import { href, param, set } from "site/route";
import { Name, Table } from "site/table";

interface Summary {
  x: { of: string; label?: string; scale: string };
  models: string[];
  notes?: string[] | null;
  warnings?: string[] | null;
}

interface Slice {
  list: string;
  slice: string;
  units: number;
  scored_bytes: number;
  too_small: boolean;
  best_model: string | null;
  changes: number;
  slope_bpb_per_x: number | null;
  steps_low: number | null;
  steps_high: number | null;
  first_point_row: number;
  point_rows: number;
}

interface Point {
  model: string;
  x: number;
  bpb: number | null;
  bpb_low: number | null;
  bpb_high: number | null;
  previous_gap_bpb: number | null;
  previous_gap_low: number | null;
  previous_gap_high: number | null;
  previous_adjusted_p: number | null;
  previous_verdict: string | null;
  best_model: string | null;
  best_gap_bpb: number | null;
  best_verdict: string | null;
}

const slicesOf = (entry: Entry) => whole<Slice>(entry, "slices");

async function pointsOf(entry: Entry, s: Slice): Promise<Point[]> {
  const table = await open(role(entry, "points").path);
  return (await table.read({ start: s.first_point_row, end: s.first_point_row + s.point_rows })) as unknown as Point[];
}

function Series({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => Promise.all([json<Summary>(role(entry, "details")), slicesOf(entry)])}>
      {([d, slices]) => {
        const chosen = slices.find((s) => s.slice === param("slice") && s.list === (param("list") || s.list)) ?? slices[0];
        return (
          <>
            {[...(d.warnings ?? []), ...(d.notes ?? [])].length > 0 && <ul class="warnings">{[...(d.warnings ?? []), ...(d.notes ?? [])].map((w) => <li>{w}</li>)}</ul>}
            {chosen && <Loaded of={chosen.list + chosen.slice} load={() => pointsOf(entry, chosen)}>{(points) => <Shown of={chosen} points={points} axis={d.x.label || d.x.of || "x"} log={d.x.scale === "log"} />}</Loaded>}
            <h2>Slices</h2>
            <Slices entry={entry} slices={slices} />
          </>
        );
      }}
    </Loaded>
  );
}

function Shown({ of, points, axis, log }: { of: Slice; points: Point[]; axis: string; log: boolean }) {
  const columns: Column<Point>[] = [
    { key: "model", title: "Model", value: (p) => p.model },
    { key: "x", title: axis.replace(/^./, (first) => first.toUpperCase()), number: true, value: (p) => p.x, text: (p) => count(p.x) },
    { key: "bpb", title: "Bits per byte", number: true, value: (p) => p.bpb, text: (p) => decimal(p.bpb) },
    { key: "bpb_low", title: "95% interval", number: true, value: (p) => p.bpb_low, text: (p) => (p.bpb_low === null ? "–" : `[${decimal(p.bpb_low)}, ${decimal(p.bpb_high)}]`) },
    { key: "previous_gap_bpb", title: "To previous", number: true, value: (p) => p.previous_gap_bpb, text: (p) => signed(p.previous_gap_bpb) },
    { key: "previous_gap_low", title: "Its interval", number: true, value: (p) => p.previous_gap_low, text: (p) => interval(p.previous_gap_low, p.previous_gap_high) },
    { key: "previous_adjusted_p", title: "p", unit: "adjusted", number: true, value: (p) => p.previous_adjusted_p, text: (p) => probability(p.previous_adjusted_p) },
    { key: "previous_verdict", title: "Verdict", value: (p) => p.previous_verdict },
    { key: "best_gap_bpb", title: "To best before", number: true, value: (p) => p.best_gap_bpb, text: (p) => signed(p.best_gap_bpb) },
    { key: "best_verdict", title: "Verdict", unit: "to best", value: (p) => p.best_verdict },
  ];
  const line = { name: of.slice, values: points.map((p) => p.bpb), low: points.map((p) => p.bpb_low), high: points.map((p) => p.bpb_high), labels: points.map((p) => p.model) };
  return (
    <>
      <Chart title={`Bits per byte of ${of.list === of.slice ? "all text" : of.slice}, with 95% intervals`} x={{ name: axis, values: points.map((p) => p.x), log }} y={{ name: "bits per byte" }} lines={[line]} />
      <Table name="models" prefix="point-" rows={points} columns={columns} sort="x" />
    </>
  );
}

/** slope writes a slope with its sign and three digits: it can be of any size. */
function slope(x: number | null): string {
  return x === null ? "–" : (x > 0 ? "+" : "") + (x !== 0 && Math.abs(x) < 1e-3 ? x.toExponential(2) : x.toPrecision(3));
}

function Slices({ entry, slices }: { entry: Entry; slices: Slice[] }) {
  const columns: Column<Slice>[] = [
    { key: "slice", title: "Slice", value: (s) => s.slice, cell: (s) => <><Name of={s.slice} /> {s.list !== s.slice && <small>{s.list}</small>}</> },
    { key: "best_model", title: "Best", value: (s) => s.best_model },
    { key: "slope_bpb_per_x", title: "Slope", unit: "bits per byte per x", number: true, absolute: true, value: (s) => s.slope_bpb_per_x, text: (s) => slope(s.slope_bpb_per_x) },
    { key: "changes", title: "Changes", unit: "of level", number: true, value: (s) => s.changes },
    { key: "units", title: "n", unit: "documents", number: true, value: (s) => s.units, text: (s) => count(s.units) },
    { key: "scored_bytes", title: "Bytes", number: true, value: (s) => s.scored_bytes, text: (s) => count(s.scored_bytes) },
  ];
  return (
    <Table name="slices" rows={slices} columns={columns} sort="-scored_bytes" bytes={(s) => s.scored_bytes} words={(s) => s.slice + "\n" + s.list} href={(s) => href(entry.id, { list: s.list, slice: s.slice })}
      folded={{ is: (s) => s.too_small, why: "too small to tell" }}>
      {param("slice") && <button type="button" onClick={() => set({ slice: null, list: null })}>Show everything ✕</button>}
    </Table>
  );
}

export const page: Page = { tabs: [{ id: "series", title: "Series", view: Series }] };
