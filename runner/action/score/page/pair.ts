// The gap of two models from the losses of their documents, by the formulas of the gap report.
import type { GapRow } from "gap/data";
import { losses, type Loss, type Score } from "score/data";
import { add, empty, estimate, falseDiscovery, merge, type Sums } from "site/statistics";

export interface Pair {
  rows: GapRow[];
  overall: GapRow;
  /** Why datasets were left out. */
  refused: string[];
}

/** What is summed over a dataset. */
interface Total {
  documents: number;
  a: number;
  b: number;
  bytes: number;
  wonA: number;
  wonB: number;
  sums: Sums;
}

const nothing = (): Total => ({ documents: 0, a: 0, b: 0, bytes: 0, wonA: 0, wonB: 0, sums: empty() });

export async function compare(scores: Score[], a: string, b: string): Promise<Pair> {
  const refused: string[] = [];
  const pairs: [Score, Score][] = [];
  let noise = 0;
  for (const x of scores.filter((s) => s.model === a)) {
    const y = scores.find((s) => s.model === b && s.dataset === x.dataset);
    if (!y) refused.push(`${x.dataset}: only ${a} was scored`);
    else if (x.same_bytes !== y.same_bytes) refused.push(`${x.dataset}: the models were scored on different bytes`);
    else if (x.scoring_protocol !== y.scoring_protocol) refused.push(`${x.dataset}: the scoring protocols differ`);
    else pairs.push([x, y]);
  }
  for (const side of [0, 1] as const) noise += Math.max(0, ...pairs.map((p) => p[side].noise_bpb));
  const totals = await Promise.all(pairs.map(async ([x, y]) => sum(await losses(x), await losses(y))));
  const all = nothing();
  for (const t of totals) {
    for (const key of ["documents", "a", "b", "bytes", "wonA", "wonB"] as const) all[key] += t[key];
    merge(all.sums, t.sums);
  }
  const rows = totals.map((t, i) => rowOf(pairs[i]![0].dataset, t));
  judge(rows, noise);
  const overall = rowOf("overall", all);
  decide(overall, overall.gap_p, noise);
  return { rows, overall, refused };
}

/** sum pairs the documents of both models. */
function sum(a: Loss[], b: Loss[]): Total {
  const total = nothing();
  const name = (l: Loss) => `${l.row_index} ${l.shard}`;
  const other = new Map(b.map((l) => [name(l), l]));
  const units = new Map<number, { d: number; w: number }>();
  for (const x of a) {
    const y = other.get(name(x));
    if (!y) continue;
    total.documents++;
    total.a += x.bits;
    total.b += y.bits;
    total.bytes += x.scored_bytes;
    const unit = units.get(x.unit) ?? { d: 0, w: 0 };
    unit.d += x.bits - y.bits;
    unit.w += x.scored_bytes;
    units.set(x.unit, unit);
  }
  for (const { d, w } of units.values()) {
    add(total.sums, d, w);
    if (w > 0 && d < 0) total.wonA++;
    if (w > 0 && d > 0) total.wonB++;
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
