// The data of the page of scores.
import { json, once, role } from "site/load";
import type { Entry, File } from "site/manifest";
import { compare } from "site/natural";
import { open } from "site/parquet";
import type { Sums } from "site/statistics";

export interface Score {
  dataset: string;
  model: string;
  tags: string[];
  documents: number;
  bytes: number;
  scored_bytes: number;
  scored_tokens: number;
  bpb: number | null;
  bpb_low: number | null;
  bpb_high: number | null;
  perplexity_per_token: number | null;
  units: number;
  /** The sums of its interval: d in bits, w in scored bytes. */
  sum_d: number;
  sum_w: number;
  sum_dd: number;
  sum_dw: number;
  sum_ww: number;
  sum_www: number;
  ledger_token_nats: number;
  ledger_span_nats: number;
  ledger_outside_nats: number;
  ledger_eos_nats: number;
  ledger_no_bytes_nats: number;
  unscored_bytes: number;
  noise_bpb: number;
  rescored_documents: number;
  /** Equal for scores of the same bytes, and of the same protocol. */
  same_bytes: number;
  scoring_protocol: number;
  computed: number;
  losses: string;
  first_loss_row: number;
  loss_rows: number;
  key: string;
}

export interface Details {
  models: { name: string; family?: string; parameters?: number; activeParameters?: number }[];
  scoringProtocols: Record<string, unknown>[];
  computed: Record<string, unknown>[];
  losses: Record<string, File>;
}

/** The losses of a model on the documents of a dataset, in their order. */
export interface Losses {
  /** The number of the unit of each document: its cluster, or itself. */
  unit: Float64Array;
  bytes: Float64Array;
  bits: Float64Array;
}

export const details = async (entry: Entry): Promise<Details> => {
  const found = await json<Details>(role(entry, "details"));
  return { ...found, models: [...found.models].sort((x, y) => compare(x.name, y.name)) };
};

export function scores(entry: Entry): Promise<Score[]> {
  const file = role(entry, "scores");
  return once("scores of " + file.path, async () => (await (await open(file.path, file.bytes)).read({})) as unknown as Score[]);
}

/** tooSmall says whether a score is of too little text for its interval to mean anything. */
export const tooSmall = (s: { units: number; scored_bytes: number }) => s.units < 20 || s.scored_bytes < 2000;

/** sumsOf returns the sums of a score. */
export const sumsOf = (s: Score): Sums => ({ units: s.units, d: s.sum_d, w: s.sum_w, dd: s.sum_dd, dw: s.sum_dw, ww: s.sum_ww, www: s.sum_www });

/** losses reads the losses of scores of one model, which are in one table. */
export async function losses(scores: Score[]): Promise<Losses[]> {
  const [start, end] = [Math.min(...scores.map((s) => s.first_loss_row)), Math.max(...scores.map((s) => s.first_loss_row + s.loss_rows))];
  const needed = scores.reduce((n, s) => n + s.loss_rows, 0);
  // A request for each of many datasets takes longer than one for all that is between them.
  if (scores.length > 1 && 2 * needed >= end - start) {
    const all = await read(scores[0]!.losses, start, end);
    return scores.map((s) => part(all, s.first_loss_row - start, s.first_loss_row - start + s.loss_rows));
  }
  return Promise.all(scores.map((s) => read(s.losses, s.first_loss_row, s.first_loss_row + s.loss_rows)));
}

function read(path: string, start: number, end: number): Promise<Losses> {
  return once(`losses of ${path} from ${start} to ${end}`, async () => {
    const found = await (await open(path)).numbers(["unit", "scored_bytes", "bits"], { start, end });
    return { unit: found.unit, bytes: found.scored_bytes, bits: found.bits };
  });
}

const part = (of: Losses, start: number, end: number): Losses => ({ unit: of.unit.subarray(start, end), bytes: of.bytes.subarray(start, end), bits: of.bits.subarray(start, end) });
