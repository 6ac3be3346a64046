// The data of the page of a scaling report.
import { json, role } from "site/load";
import type { Entry } from "site/manifest";
import { whole } from "site/parquet";
import { tooSmall } from "score/data";

export interface Measure {
  value: number;
  low: number;
  high: number;
}

export interface Interval {
  low: number;
  high: number;
}

export interface Fit {
  family: string;
  of: string;
  law: { a: Measure; b: Measure; factorPerTenfold: Measure; deviationOfLog: number } | null;
}

export interface Model {
  model: string;
  family?: string;
  x: number | null;
  parameters: number | null;
  activeParameters: number | null;
  flopsPerToken: number | null;
  nats: number;
  bpb: number | null;
  bpbInterval?: Interval | null;
  perplexity: { perToken: number | null; perWord: number | null; perByte: number | null };
}

export interface Summary {
  x: { of: string; label?: string; scale: string };
  models: Model[];
  documents: number;
  scoredBytes: number;
  fits: Fit[] | null;
  notes?: string[] | null;
  warnings?: string[] | null;
  buckets?: { name: string; parts: number; scoredBytes: number; bpb: (number | null)[] }[] | null;
  sentences?: { name: string; parts: number; scoredBytes: number; bpb: (number | null)[] }[] | null;
  /** The models of the largest family in the order of x. */
  gain?: string[] | null;
  change?: { bpb: number; interval: Interval | null } | null;
  rankedDocuments: Ranked;
  hardestTokens?: Token[] | null;
}

export interface DatasetRow {
  dataset: string;
  model: string;
  x: number | null;
  documents: number;
  nats: number;
  bpb: number | null;
  bpb_low: number | null;
  bpb_high: number | null;
  /** The documents, or clusters of them, that the interval is of. */
  units: number;
  perplexity_per_token: number | null;
  scored_bytes: number;
}

export interface Document {
  dataset: string;
  shard: string;
  row: number;
  scoredBytes: number;
  bpb: number[];
  perplexityPerToken: (number | null)[];
  /** The beginning of the scored text; "" if it was not published. */
  text: string;
  cut: boolean;
}

export interface Ranked {
  hardest: Document[] | null;
  easiest: Document[] | null;
  mostGain: Document[] | null;
  leastGain: Document[] | null;
  lower: number;
  equal: number;
  higher: number;
  monotone: number;
}

export interface Token {
  model: string;
  id: number;
  /** The token, with invisible characters escaped. */
  text: string;
  count: number;
  nats: number;
  meanNats: number;
  /** The mean for the smallest model. */
  firstMeanNats: number | null;
  rankByTotal: number | null;
  rankByMean: number | null;
}

/** intervalOf returns the interval of a row, or null without enough text for it to mean anything. */
export const intervalOf = (r: DatasetRow): Interval | null => (r.bpb_low === null || r.bpb_high === null || tooSmall(r) ? null : { low: r.bpb_low, high: r.bpb_high });

export const details = (entry: Entry) => json<Summary>(role(entry, "details"));

export const datasets = (entry: Entry) => whole<DatasetRow>(entry, "datasets");
