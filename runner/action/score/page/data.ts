// The data of the page of scores.
import { json, once, role } from "site/load";
import type { Entry, File } from "site/manifest";
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
  models: { name: string; family?: string; parameters?: number }[];
  scoringProtocols: Record<string, unknown>[];
  computed: Record<string, unknown>[];
  losses: Record<string, File>;
}

/** A document's loss under one model. */
export interface Loss {
  dataset: string;
  shard: string;
  row_index: number;
  unit: number;
  scored_bytes: number;
  bits: number;
}

export const details = (entry: Entry) => json<Details>(role(entry, "details"));

export function scores(entry: Entry): Promise<Score[]> {
  const file = role(entry, "scores");
  return once("scores of " + file.path, async () => (await (await open(file.path, file.bytes)).read({})) as unknown as Score[]);
}

/** tooSmall says whether a score is of too little text for its interval to mean anything. */
export const tooSmall = (s: { units: number; scored_bytes: number }) => s.units < 20 || s.scored_bytes < 2000;

/** sumsOf returns the sums of a score. */
export const sumsOf = (s: Score): Sums => ({ units: s.units, d: s.sum_d, w: s.sum_w, dd: s.sum_dd, dw: s.sum_dw, ww: s.sum_ww, www: s.sum_www });

/** losses reads the losses of a score, in the order of its documents. */
export function losses(score: Score): Promise<Loss[]> {
  return once(`losses of ${score.losses} from ${score.first_loss_row}`, async () => {
    const table = await open(score.losses);
    return (await table.read({ start: score.first_loss_row, end: score.first_loss_row + score.loss_rows })) as unknown as Loss[];
  });
}
