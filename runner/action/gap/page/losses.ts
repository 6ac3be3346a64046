// The losses of a document's bytes under one model, as the runner spreads those of tokens over their bytes.
import { once } from "site/load";
import { open } from "site/parquet";

/** A scored document of one model. Losses are in bits. */
export interface Side {
  text: string;
  scoreStart: number;
  scoreEnd: number;
  starts: ArrayLike<number>;
  ends: ArrayLike<number>;
  ids: ArrayLike<number>;
  /** The loss of each token in bits; empty if there are only losses of bytes. */
  bits: Float64Array;
  /** The loss of each byte in bits; NaN without one. */
  bytes: Float64Array;
  confidence?: Confidence | undefined;
}

/** What a model said of each token: 0 everywhere at a token without a loss. */
export interface Confidence {
  top: ArrayLike<number>;
  topNLL: ArrayLike<number>;
  ranks: ArrayLike<number>;
  entropies: ArrayLike<number>;
}

const columns = ["text", "score_byte_start", "score_byte_end", "token_ids", "token_byte_starts", "token_byte_ends", "token_nll", "unscored_byte_starts", "unscored_byte_ends", "per_byte_loss"];

/** A row of a score table. */
interface Scored {
  text: string;
  score_byte_start: number;
  score_byte_end: number;
  token_ids?: number[] | null;
  token_byte_starts?: number[] | null;
  token_byte_ends?: number[] | null;
  token_nll?: number[] | null;
  unscored_byte_starts?: number[] | null;
  unscored_byte_ends?: number[] | null;
  per_byte_loss?: number[] | null;
}

/** side reads a document from a model's score table, and what the model said of its tokens if that was published. */
export function side(path: string, confidence: string, at: number): Promise<Side> {
  return once(`row ${at} of ${path}`, async () => {
    const table = await open(path);
    const [rows, said] = await Promise.all([
      table.read({ columns: columns.filter((c) => table.columns.includes(c)), start: at, end: at + 1 }),
      confidence ? open(confidence).then((t) => t.read({ start: at, end: at + 1 })) : Promise.resolve([]),
    ]);
    return sideOf(rows[0] as unknown as Scored, said[0] as unknown as Said | undefined);
  });
}

/** A row of a confidence table. */
interface Said {
  top_ids: number[];
  top_nll: number[];
  ranks: number[];
  entropies: number[];
}

function sideOf(row: Scored, said: Said | undefined): Side {
  const ends = row.token_byte_ends ?? [];
  let starts = row.token_byte_starts ?? [];
  if (starts.length === 0) starts = ends.map((_, i) => (i === 0 ? 0 : ends[i - 1]!));
  const nll = row.token_nll ?? [];
  const size = new TextEncoder().encode(row.text).length;
  const bytes = new Float64Array(size).fill(NaN);
  if (row.per_byte_loss?.length) row.per_byte_loss.forEach((loss, i) => (bytes[i] = loss / Math.LN2));
  else spread(starts, ends, nll, row.unscored_byte_starts ?? [], row.unscored_byte_ends ?? [], bytes);
  return {
    text: row.text, scoreStart: row.score_byte_start, scoreEnd: row.score_byte_end, starts, ends, ids: row.token_ids ?? [], bytes,
    bits: Float64Array.from(nll, (x) => x / Math.LN2),
    confidence: said && { top: said.top_ids, topNLL: said.top_nll, ranks: said.ranks, entropies: said.entropies },
  };
}

/**
 * spread divides the loss of each token equally among its bytes. The loss of tokens without bytes is added to the next
 * token with some. It is protocol.Tokens.Spread in Go.
 */
function spread(starts: number[], ends: number[], nll: number[], unscoredStarts: number[], unscoredEnds: number[], into: Float64Array): void {
  let [carried, unscored] = [0, 0];
  for (let i = 0; i < nll.length; i++) {
    const [start, end] = [starts[i]!, ends[i]!];
    if (start === end) {
      carried += nll[i]!;
      continue;
    }
    while (unscored < unscoredEnds.length && unscoredEnds[unscored]! <= start) unscored++;
    if (unscored < unscoredEnds.length && unscoredStarts[unscored]! < end) continue;
    into.fill((nll[i]! + carried) / (end - start) / Math.LN2, start, end);
    carried = 0;
  }
}
