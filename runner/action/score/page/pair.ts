// The gap of two models from the losses of their documents, by the formulas of the gap report.
import type { GapRow } from "gap/data";
import { losses, type Details, type Losses, type Score } from "score/data";
import { add, empty, estimate, falseDiscovery, merge, type Sums } from "site/statistics";

export interface Pair {
  rows: GapRow[];
  overall: GapRow;
  /** The datasets whose units are clusters of documents. */
  clustered: { dataset: string; clusters: number }[];
  /** Why datasets were left out. */
  refused: string[];
}

/** What is summed over a dataset. */
interface Total {
  documents: number;
  /** Whether some documents are of one unit. */
  clustered: boolean;
  a: number;
  b: number;
  bytes: number;
  wonA: number;
  wonB: number;
  sums: Sums;
}

const nothing = (): Total => ({ documents: 0, clustered: false, a: 0, b: 0, bytes: 0, wonA: 0, wonB: 0, sums: empty() });

/** compare compares the model a with the model b. */
export async function compare(scores: Score[], { a, b }: { a: string; b: string }, { scoringProtocols }: Details): Promise<Pair> {
  const refused: string[] = [];
  const pairs: [Score, Score][] = [];
  let noise = 0;
  const others = new Map(scores.filter((s) => s.model === b).map((s) => [s.dataset, s]));
  for (const x of scores.filter((s) => s.model === a)) {
    const y = others.get(x.dataset);
    if (!y) refused.push(`${x.dataset}: only ${a} was scored`);
    else if (x.same_bytes !== y.same_bytes) refused.push(`${x.dataset}: ${a} and ${b} were scored on different bytes`);
    else if (x.scoring_protocol !== y.scoring_protocol) refused.push(`${x.dataset}: the scoring protocols of ${a} and ${b} differ: ${differences(scoringProtocols[x.scoring_protocol], scoringProtocols[y.scoring_protocol])}`);
    else pairs.push([x, y]);
  }
  for (const side of [0, 1] as const) noise += Math.max(0, ...pairs.map((p) => p[side].noise_bpb));
  const [ofA, ofB] = pairs.length === 0 ? [[], []] : await Promise.all([losses(pairs.map((p) => p[0])), losses(pairs.map((p) => p[1]))]);
  const totals = pairs.map((_, i) => sum(ofA[i]!, ofB[i]!));
  const all = nothing();
  for (const t of totals) {
    for (const key of ["documents", "a", "b", "bytes", "wonA", "wonB"] as const) all[key] += t[key];
    merge(all.sums, t.sums);
  }
  const rows = totals.map((t, i) => rowOf(pairs[i]![0].dataset, t));
  judge(rows, noise);
  const overall = rowOf("all datasets", all);
  decide(overall, overall.gap_p, noise);
  const clustered = totals.flatMap((t, i) => (t.clustered ? [{ dataset: pairs[i]![0].dataset, clusters: t.sums.units }] : []));
  return { rows, overall, clustered, refused };
}

/** differences lists the settings that two protocols do not share. */
function differences(x: Record<string, unknown> = {}, y: Record<string, unknown> = {}): string {
  const keys = [...new Set([...Object.keys(x), ...Object.keys(y)])];
  const text = (value: unknown) => (value === undefined ? "none" : JSON.stringify(value));
  return keys.filter((k) => text(x[k]) !== text(y[k])).map((k) => `${k} ${text(x[k])} and ${text(y[k])}`).join(", ");
}

/** sum adds up documents, which are the same in the same order for both models: the scores are of the same bytes. */
function sum(a: Losses, b: Losses): Total {
  const total = nothing();
  total.documents = a.bits.length;
  const units = a.unit.reduce((n, unit) => Math.max(n, unit + 1), 0);
  total.clustered = units < total.documents;
  const [d, w] = [new Float64Array(units), new Float64Array(units)];
  for (let i = 0; i < a.bits.length; i++) {
    total.a += a.bits[i]!;
    total.b += b.bits[i]!;
    total.bytes += a.bytes[i]!;
    d[a.unit[i]!]! += a.bits[i]! - b.bits[i]!;
    w[a.unit[i]!]! += a.bytes[i]!;
  }
  for (let i = 0; i < units; i++) {
    add(total.sums, d[i]!, w[i]!);
    if (w[i]! > 0 && d[i]! < 0) total.wonA++;
    if (w[i]! > 0 && d[i]! > 0) total.wonB++;
  }
  return total;
}

function rowOf(name: string, t: Total): GapRow {
  const e = estimate(t.sums);
  const per = (bits: number) => (t.bytes > 0 ? bits / t.bytes : null);
  return {
    name, documents: t.documents, bytes: t.bytes, model_a_bpb: per(t.a), model_b_bpb: per(t.b), gap_bpb: per(t.a - t.b), delta_bits: t.a - t.b,
    units: t.sums.units, units_model_a_better: t.wonA, units_model_b_better: t.wonB, gap_low: e?.low ?? null, gap_high: e?.high ?? null, gap_p: e?.p ?? null,
    gap_q: null, detectable_gap: e?.detectable ?? null, verdict: "",
  };
}

/** judge sets q-values and verdicts, as the gap report does. */
function judge(rows: GapRow[], noise: number): void {
  const large = rows.filter((r) => !tooSmall(r));
  const q = falseDiscovery(large.map((r) => r.gap_p!));
  large.forEach((r, i) => (r.gap_q = q[i]!));
  for (const r of rows) decide(r, r.gap_q, noise);
}

const tooSmall = (r: GapRow) => r.gap_p === null || r.units < 20 || r.bytes < 2000;

function decide(r: GapRow, q: number | null, noise: number): void {
  if (tooSmall(r)) r.verdict = "too small to tell";
  else if (q! >= 0.05 || Math.abs(r.gap_bpb!) <= noise) r.verdict = "cannot tell";
  else r.verdict = r.delta_bits > 0 ? "a is worse" : "b is worse";
}
