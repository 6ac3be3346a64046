// The data of the page of sliding windows.
import { json, once, role } from "site/load";
import type { Entry } from "site/manifest";
import { open } from "site/parquet";

export interface Passage {
  document: number;
  shard: string;
  row: number;
  start: number;
  end: number;
  windows: number;
  peak: { start: number; suffix: number; end: number; logP: number; logPWithoutPrompt: number; greedy: boolean; easy: boolean; promptText: string; suffixText: string };
}

export interface Statistics {
  model: string;
  dataset: string;
  texts: number;
  characters: number;
  windows: number;
  maxLogP: number;
  meanLogP: number;
  meanLogPWithoutPrompt: number;
  greedy: number;
  greedyShare: number;
  memorizedPassages: number;
  easyPassages: number;
  thresholds: { p: number; windows: number; share: number; easy: number; characters: number; character_share: number }[] | null;
  histogram: { low: number; high: number; windows: number; without_prompt: number }[] | null;
  passages: Passage[] | null;
  notes?: string[] | null;
  warnings?: string[] | null;
}

export interface Text {
  document: number;
  shard: string;
  row_index: number;
  characters: number;
  windows: number;
  max_log_p: number | null;
}

/** A part of the strip: the largest log probability of its characters. */
export interface Part {
  start: number;
  end: number;
  log_p: number | null;
}

/** A character's largest log probability, -Infinity without a window. */
export interface Character {
  character: number;
  log_p: number;
}

/** How many characters a row of the table of text has. */
export const page = 4096;

export const statistics = (entry: Entry) => json<Statistics>(role(entry, "details"));

function read<T>(entry: Entry, name: string, filter?: Record<string, unknown>): Promise<T[]> {
  const file = role(entry, name);
  return once([file.path, JSON.stringify(filter)].join(" "), async () => (await (await open(file.path, file.bytes)).read(filter ? { filter } : {})) as unknown as T[]);
}

export const texts = (entry: Entry) => read<Text>(entry, "texts");
export const strip = (entry: Entry, document: number) => read<Part>(entry, "strip", { document: { $eq: document } });

/** characters reads the characters of a page of a document. */
export const characters = (entry: Entry, document: number, start: number) => read<Character>(entry, "characters", { document: { $eq: document }, character: { $gte: start, $lt: start + page } });

/** words reads the text of a page of a document; null if it was not published. */
export async function words(entry: Entry, document: number, start: number): Promise<string | null> {
  if (!entry.files.text) return null;
  const rows = await read<{ text: string }>(entry, "text", { document: { $eq: document }, start: { $eq: start } });
  return rows[0]?.text ?? "";
}

/** probability writes a natural logarithm as a probability. */
export function probability(logP: number | null): string {
  if (logP === null || logP === -Infinity) return "–";
  const p = Math.exp(logP);
  return p >= 0.001 ? p.toFixed(4) : p === 0 ? `1e${Math.round(logP / Math.LN10)}` : p.toExponential(1);
}
