// The columns that all tables of a gap share.
import { Bar, extent, sideOf } from "site/bar";
import type { Column } from "site/columns";
import { detectableHelp } from "site/help";
import { bits, count, decimal, interval, probability, signed } from "site/format";
import { fewClusters, type Clustered, type GapRow } from "gap/data";

/** What the names of the models and the noun of n are in a table. */
export interface Labels {
  a: string;
  b: string;
  /** What the column documents counts. */
  counted: string;
  /** Verdicts have the names of the models in place of a and b. */
  named?: boolean;
}

/** gapColumns returns the columns of rows after the first, their names. */
export function gapColumns<T extends Partial<GapRow> & { gap_bpb: number | null; delta_bits: number }>(rows: T[], labels: Labels, has: { won: boolean; detectable: boolean; verdict?: boolean; units?: Units | undefined }): Column<T>[] {
  const scale = extent(rows.filter((r) => r.verdict !== small));
  const columns: (Column<T> | false)[] = [
    { key: "gap_bpb", title: "Gap", unit: "bits per byte", number: true, absolute: true, help: "a minus b: positive means that a is worse", value: (r) => r.gap_bpb, text: (r) => signed(r.gap_bpb), cell: (r) => <span class={sideOf(r)}>{signed(r.gap_bpb)}</span> },
    { key: "bar", title: "Drawn", drawing: true, help: "the gap and its 95% interval; all bars of the table have one scale", value: () => null, cell: (r) => <Bar row={r} scale={scale} /> },
    { key: "gap_low", title: "95% interval", number: true, help: "of the gap, from how documents differ", value: (r) => r.gap_low, text: (r) => interval(r.gap_low, r.gap_high) },
    { key: "gap_high", title: "95% interval, high", data: true, value: (r) => r.gap_high },
    { key: "model_a_bpb", title: labels.a, unit: "a, bits per byte", number: true, value: (r) => r.model_a_bpb, text: (r) => decimal(r.model_a_bpb) },
    { key: "model_b_bpb", title: labels.b, unit: "b, bits per byte", number: true, value: (r) => r.model_b_bpb, text: (r) => decimal(r.model_b_bpb) },
    has.verdict !== false && { key: "verdict", title: "Verdict", value: (r) => r.verdict, help: "a verdict is given if q is below 5% and the gap is above the noise of scoring", text: (r) => said(r.verdict ?? "", labels), cell: (r) => <Verdict verdict={r.verdict ?? ""} labels={labels} /> },
    { key: "delta_bits", title: "Bits", unit: "in total", number: true, absolute: true, help: "the difference in bits, summed over the bytes of the row", value: (r) => r.delta_bits, text: (r) => bits(r.delta_bits) },
    ...countColumns<T>(labels.counted, has.units),
    { key: "bytes", title: "Bytes", number: true, value: (r) => r.bytes, text: (r) => count(r.bytes) },
    has.detectable && { key: "detectable_gap", title: "Detectable", unit: "gap", number: true, help: detectableHelp, value: (r) => r.detectable_gap, text: (r) => decimal(r.detectable_gap) },
    { key: "gap_q", title: "q", number: true, help: "the rate of wrong verdicts among the rows of the table if this row and all with a smaller q get one", value: (r) => r.gap_q, text: (r) => probability(r.gap_q) },
    has.won && { key: "units_model_a_better", title: "Won", unit: "a : b", number: true, help: "the documents, or clusters of documents, on which each model is better", value: (r) => r.units_model_a_better, text: (r) => `${count(r.units_model_a_better)} : ${count(r.units_model_b_better)}` },
  ];
  return columns.filter((c) => c !== false);
}

/** Units says of the row of a name whether the number of its units is shown, and whether its interval is rough. */
interface Units {
  shown(name: string): boolean;
  rough(name: string): boolean;
}

/** unitsOf is what the units of rows are if some datasets have clusters as units, and undefined if none has. Groups are names of other rows. */
export function unitsOf(clustered: Pick<Clustered, "dataset" | "clusters">[] | null | undefined, groups: string[] = []): Units | undefined {
  if (!clustered?.length) return undefined;
  const all = new Set([...clustered.map((c) => c.dataset), ...groups]);
  const few = new Set(clustered.filter((c) => c.clusters < fewClusters).map((c) => c.dataset));
  return { shown: (name) => all.has(name), rough: (name) => few.has(name) };
}

/** countColumns are the documents, and where datasets have clusters, the units that they are in. */
function countColumns<T extends Partial<GapRow>>(counted: string, units: Units | undefined): Column<T>[] {
  const n: Column<T> = { key: "documents", title: "n", unit: counted, number: true, value: (r) => r.documents, text: (r) => count(r.documents) };
  if (!units) return [n];
  const inUnits = (r: T) => (units.shown(r.name!) ? ` in ${count(r.units)}` : "") + (units.rough(r.name!) ? ", rough" : "");
  return [
    {
      ...n, unit: `${counted} in units`, text: (r) => count(r.documents) + inUnits(r), cell: (r) => <>{count(r.documents)}<small>{inUnits(r)}</small></>,
      help: `the interval comes from the units: documents, or clusters of them; it is rough from fewer than ${fewClusters} clusters`,
    },
    { key: "units", title: "Units", data: true, value: (r) => r.units },
  ];
}

export const small = "too small to tell";

export const folded = { is: (r: { verdict: string }) => r.verdict === small, why: "too small to tell (fewer than 20 documents, or clusters of them, or 2,000 bytes)" };

/** summed is for rows that are all there is, and that do not overlap: how much of the difference is in the folded ones. */
export const summed = { ...folded, sum: (r: { delta_bits: number }) => r.delta_bits };

/** named writes a verdict about a and b with the names of models. */
export function named(verdict: string, { a, b }: { a: string; b: string }): string {
  return verdict.replace(/^([ab]) is/, (_, side) => `${side === "a" ? a : b} is`);
}

const said = (verdict: string, labels: Labels) => (labels.named ? named(verdict, labels) : verdict);

function Verdict({ verdict, labels }: { verdict: string; labels: Labels }) {
  const kind = verdict.startsWith("a ") ? "worse" : verdict.startsWith("b ") ? "better" : "open";
  return <span class={`verdict ${kind}`}>{said(verdict, labels)}</span>;
}
