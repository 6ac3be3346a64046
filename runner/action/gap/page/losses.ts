// The losses of a document's bytes under one model, as the runner spreads those of tokens over their bytes.
import { once } from "site/load";
import { open } from "site/parquet";

/** A scored document of one model. Losses are in bits. */
export interface Side {
  scoreStart: number;
  scoreEnd: number;
  starts: ArrayLike<number>;
  ends: ArrayLike<number>;
  /** The loss of each token; empty if there are only losses of bytes. */
  bits: Float64Array;
  /** The loss of each byte; NaN without one. */
  bytes: Float64Array;
}

/** What a model said of each token: 0 everywhere at a token without a loss. */
export interface Said {
  ids: ArrayLike<number>;
  /** The texts of the tokens that were the most probable ones, as far as they are published. */
  texts: Map<number, string>;
  confidence?: { top_ids: ArrayLike<number>; top_nll: ArrayLike<number>; ranks: ArrayLike<number>; entropies: ArrayLike<number> } | undefined;
}

/** A row of a score table. */
interface Scored {
  score_byte_start: number;
  score_byte_end: number;
  token_byte_starts?: number[] | null;
  token_byte_ends?: number[] | null;
  token_nll?: number[] | null;
  unscored_byte_starts?: number[] | null;
  unscored_byte_ends?: number[] | null;
  per_byte_loss?: number[] | null;
}

const columns: (keyof Scored)[] = ["score_byte_start", "score_byte_end", "token_byte_starts", "token_byte_ends", "token_nll", "unscored_byte_starts", "unscored_byte_ends", "per_byte_loss"];

/** text reads the text of a row of a score table. */
export async function text(path: string, row: number): Promise<string> {
  const rows = await (await open(path)).read({ columns: ["text"], start: row, end: row + 1 });
  return String(rows[0]!.text);
}

/** side reads the losses of a row of a score table. size is the number of bytes of its text. */
export async function side(path: string, row: number, size: Promise<number>): Promise<Side> {
  const table = await open(path);
  const rows = await table.read({ columns: columns.filter((c) => table.columns.includes(c)), start: row, end: row + 1 });
  return sideOf(rows[0] as unknown as Scored, await size);
}

/** Paths of the tables of a score; that of its confidence or of its most probable tokens may be "". */
export interface Tables {
  path: string;
  confidence: string;
  tokens: string;
}

function textsOf(path: string): Promise<Map<number, string>> {
  return once("texts of " + path, async () => {
    const rows = await (await open(path)).read({ columns: ["token_id", "token_text"] });
    return new Map(rows.map((r) => [r.token_id as number, String(r.token_text)]));
  });
}

/** said reads the tokens of a row, and what the model said of them if that was published. */
export function said({ path, confidence, tokens: vocabulary }: Tables, row: number): Promise<Said> {
  return once(`said in row ${row} of ${path}`, async () => {
    const at = { start: row, end: row + 1 };
    const [tokens, rows, texts] = await Promise.all([
      (await open(path)).read({ columns: ["token_ids"], ...at }),
      confidence ? (await open(confidence)).read({ columns: ["top_ids", "top_nll", "ranks", "entropies"], ...at }) : [],
      vocabulary ? textsOf(vocabulary) : new Map<number, string>(),
    ]);
    return { texts, ids: (tokens[0]?.token_ids ?? []) as number[], confidence: rows[0] as unknown as Said["confidence"] };
  });
}

function sideOf(row: Scored, size: number): Side {
  const ends = row.token_byte_ends ?? [];
  let starts = row.token_byte_starts ?? [];
  if (starts.length === 0) starts = ends.map((_, i) => (i === 0 ? 0 : ends[i - 1]!));
  const nll = row.token_nll ?? [];
  const bytes = new Float64Array(size).fill(NaN);
  if (row.per_byte_loss?.length) row.per_byte_loss.forEach((loss, i) => (bytes[i] = loss / Math.LN2));
  else spread(starts, ends, nll, { starts: row.unscored_byte_starts ?? [], ends: row.unscored_byte_ends ?? [] }, bytes);
  return { scoreStart: row.score_byte_start, scoreEnd: row.score_byte_end, starts, ends, bytes, bits: Float64Array.from(nll, (x) => x / Math.LN2) };
}

/**
 * spread divides the loss of each token equally among its bytes. The loss of tokens without bytes is added to the next
 * token with some. It is protocol.Tokens.Spread in Go.
 */
function spread(starts: number[], ends: number[], nll: number[], unscored: { starts: number[]; ends: number[] }, into: Float64Array): void {
  let [carried, k] = [0, 0];
  for (let i = 0; i < nll.length; i++) {
    const [start, end] = [starts[i]!, ends[i]!];
    if (start === end) {
      carried += nll[i]!;
      continue;
    }
    while (k < unscored.ends.length && unscored.ends[k]! <= start) k++;
    if (k < unscored.ends.length && unscored.starts[k]! < end) continue;
    into.fill((nll[i]! + carried) / (end - start) / Math.LN2, start, end);
    carried = 0;
  }
}
