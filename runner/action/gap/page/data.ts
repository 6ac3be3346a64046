// The data of a gap's page, with the names that summary.json has.
import { json, once, role } from "site/load";
import type { Entry } from "site/manifest";
import { open, type Row } from "site/parquet";
import { param } from "site/route";

export interface GapRow {
  name: string;
  documents: number;
  bytes: number;
  model_a_bpb: number | null;
  model_b_bpb: number | null;
  gap_bpb: number | null;
  delta_bits: number;
  units: number;
  units_model_a_better?: number;
  units_model_b_better?: number;
  effective_units?: number | null;
  gap_low: number | null;
  gap_high: number | null;
  gap_p: number | null;
  gap_q: number | null;
  detectable_gap?: number | null;
  verdict: string;
}

export interface Dataset extends GapRow {
  tags?: string[] | string | null;
  /** The score tables of both models and what they said of their tokens; "" if they were not published. */
  model_a_scores: string;
  model_b_scores: string;
  model_a_confidence: string;
  model_b_confidence: string;
  model_a_top_tokens: string;
  model_b_top_tokens: string;
  /** The rows of the table of documents. */
  first_document_row: number;
  document_rows: number;
}

/** A gap's headline in site.json. */
export interface Headline {
  modelA: string;
  modelB: string;
  overall: GapRow;
}

export const headlineOf = (entry: Entry) => entry.headline as Headline;

export interface Measure {
  value: number;
  low: number;
  high: number;
}

/** A dataset whose units are clusters of documents. */
export interface Clustered {
  dataset: string;
  /** "shard", or "field" for clusters that a field of the rows names. */
  by: string;
  clusters: number;
}

/** The number of clusters below which intervals are rough. */
export const fewClusters = 40;

export interface Details {
  modelA: string;
  modelB: string;
  overall: GapRow;
  clustered?: Clustered[] | null;
  document_distribution?: Distribution | null;
  dataset_groups: GapRow[];
  pattern_buckets: GapRow[];
  tokenizers?: Tokenizers | null;
  scoringProtocols?: { a: Record<string, unknown> | null; b: Record<string, unknown> | null; differences?: string[] | null };
  computedDifferences?: string[] | null;
  noise_bpb?: number;
  unscoredBytes?: Sides;
  zeroLossBytes?: Sides;
  tested_literals?: number;
  warnings?: string[] | null;
  notes?: string[] | null;
  provenance?: unknown;
}

export interface Sides {
  a: number;
  b: number;
  either: number;
}

export interface Distribution {
  documents: number;
  effective_documents: number;
  model_a_better: { documents: number; share: number; low: number; high: number };
  model_b_better: { documents: number; share: number; low: number; high: number };
  median_gap_bpb: Measure;
  trimmed_mean_gap_bpb: Measure;
  top_percent: { documents: number; bytes: number; delta_bits: number; share: number | null; rest_gap_bpb: number | null };
}

export interface Tokenizers {
  different_share: Measure | null;
  different_gap_bpb: Measure | null;
  alike_gap_bpb: Measure | null;
  different: GapRow;
  alike: GapRow;
  unknown_bytes: number;
}

export interface DocumentRow {
  dataset: string;
  shard: string;
  row_index: number;
  bytes: number;
  score_byte_start: number;
  score_byte_end: number;
  model_a_bpb: number | null;
  model_b_bpb: number | null;
  gap_bpb: number | null;
  delta_bits: number;
  worst_bucket?: string | null;
  worst_text?: string | null;
  worst_gap_bpb?: number | null;
  worst_byte_start?: number | null;
  worst_byte_end?: number | null;
  /** The rows in the score tables; null if the text was not published. */
  model_a_table_row: number | null;
  model_b_table_row: number | null;
}

export const details = (entry: Entry) => json<Details>(role(entry, "details"));

/** rows reads a table of an entry whole. */
export function rows<T>(entry: Entry, name: string): Promise<T[]> {
  const file = role(entry, name);
  return once("rows of " + file.path, async () => (await (await open(file.path, file.bytes)).read({})) as T[]);
}

export const datasets = (entry: Entry) => rows<Dataset>(entry, "datasets");

/** documentsOf reads the documents of a dataset: only the pages that have some. */
export function documentsOf(entry: Entry, dataset: Dataset): Promise<DocumentRow[]> {
  const file = role(entry, "documents");
  return once(`${file.path} of ${dataset.name}`, async () => {
    const table = await open(file.path, file.bytes);
    const start = dataset.first_document_row;
    return (await table.read({ start, end: start + dataset.document_rows })) as Row[] as unknown as DocumentRow[];
  });
}

/** The identity of a document. */
export interface Place {
  dataset: string;
  shard: string;
  row: number;
}

/** hasText says whether the text of a document was published. */
export const hasText = (d: DocumentRow) => d.model_a_table_row !== null && d.model_b_table_row !== null;

export const placeOf = (d: DocumentRow): Place => ({ dataset: d.dataset, shard: d.shard, row: d.row_index });

/** place is the document that the address names, if it names one. */
export function place(): Place | null {
  const [dataset, row] = [param("dataset"), param("row")];
  return dataset === "" || !/^\d+$/.test(row) ? null : { dataset, shard: param("shard"), row: Number(row) };
}
