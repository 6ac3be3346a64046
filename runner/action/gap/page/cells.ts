// A document divided where either tokenizer cuts it: the cells that a heatmap colors.
import type { Side } from "gap/losses";

/** A document under both models. Arrays have an element for each cell. */
export interface Cells {
  text: string;
  /** Where cells start, in UTF-16 units and in bytes; the last element is the end of the text. */
  chars: Int32Array;
  bytes: Int32Array;
  count: number;
  /** The bits per byte of each model; NaN without a loss. */
  a: Float64Array;
  b: Float64Array;
  /** The token of each model at a cell's start; -1 if there is none. */
  tokenA: Int32Array;
  tokenB: Int32Array;
  /** Bits of marks. */
  marks: Uint8Array;
}

/** Marks of a cell: a token of a or of b starts at it, or it is outside of the scored span. */
export const startsA = 1;
export const startsB = 2;
export const outside = 4;

export function cellsOf(text: string, a: Side, b: Side): Cells {
  const { charOf, size } = positions(text);
  const cuts = new Uint8Array(size + 1);
  const firstA = boundaries(a, charOf, size, cuts, startsA);
  const firstB = boundaries(b, charOf, size, cuts, startsB);
  const [from, to] = [next(a.scoreStart, charOf, size), next(a.scoreEnd, charOf, size)];
  const edge = 8;
  cuts[0]! |= edge;
  cuts[from]! |= edge;
  cuts[to]! |= edge;
  let count = 0;
  for (let i = 0; i < size; i++) if (cuts[i]) count++;
  const cells: Cells = {
    text, count, chars: new Int32Array(count + 1), bytes: new Int32Array(count + 1), a: new Float64Array(count), b: new Float64Array(count),
    tokenA: new Int32Array(count), tokenB: new Int32Array(count), marks: new Uint8Array(count),
  };
  let cell = 0;
  let [tokenA, tokenB] = [-1, -1];
  for (let i = 0; i < size; i++) {
    if (!cuts[i]) continue;
    if (cuts[i]! & startsA) tokenA = firstA[i]!;
    if (cuts[i]! & startsB) tokenB = firstB[i]!;
    cells.bytes[cell] = i;
    cells.chars[cell] = charOf[i]!;
    cells.tokenA[cell] = tokenA;
    cells.tokenB[cell] = tokenB;
    cells.marks[cell] = (cuts[i]! & (startsA | startsB)) | (i < from || i >= to ? outside : 0);
    cell++;
  }
  cells.bytes[count] = size;
  cells.chars[count] = text.length;
  for (let i = 0; i < count; i++) {
    cells.a[i] = mean(a.bytes, cells.bytes[i]!, cells.bytes[i + 1]!);
    cells.b[i] = mean(b.bytes, cells.bytes[i]!, cells.bytes[i + 1]!);
  }
  return cells;
}

/** mean is that of the bytes with a loss: a character that is cut into several tokens is one cell. */
function mean(losses: Float64Array, start: number, end: number): number {
  let [sum, n] = [0, 0];
  for (let i = start; i < end; i++) {
    const x = losses[i]!;
    if (x === x) {
      sum += x;
      n++;
    }
  }
  return n === 0 ? NaN : sum / n;
}

/** positions maps the bytes at which characters start to UTF-16 units; others are -1. */
function positions(text: string): { charOf: Int32Array; size: number } {
  const charOf = new Int32Array(3 * text.length + 1).fill(-1);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    charOf[at] = i;
    const c = text.charCodeAt(i);
    if (c < 0x80) at++;
    else if (c < 0x800) at += 2;
    else if (c >= 0xd800 && c < 0xdc00 && i + 1 < text.length) {
      at += 4;
      i++;
    } else at += 3;
  }
  charOf[at] = text.length;
  return { charOf, size: at };
}

/** next rounds a byte up to the start of a character. */
function next(byte: number, charOf: Int32Array, size: number): number {
  while (byte < size && charOf[byte]! < 0) byte++;
  return Math.min(byte, size);
}

/** boundaries marks where tokens start, and returns the first token at each such byte. */
function boundaries(side: Side, charOf: Int32Array, size: number, cuts: Uint8Array, mark: number): Int32Array {
  const first = new Int32Array(size + 1).fill(-1);
  for (let i = 0; i < side.ends.length; i++) {
    const start = side.starts[i]!;
    if (start < 0 || start >= size || start === side.ends[i]) continue;
    const at = next(start, charOf, size);
    cuts[at]! |= mark;
    if (first[at]! < 0) first[at] = i;
  }
  return first;
}

/** A part of the text between boundaries that both tokenizers have. */
export interface Part {
  /** Its first cell, and the one after its last. */
  from: number;
  to: number;
  /** The bits by which it adds to what is shown. */
  bits: number;
}

/** worst returns the parts that weigh most, the heaviest first. */
export function worst(cells: Cells, value: (cell: number) => number, most: number): Part[] {
  const parts: Part[] = [];
  let part: Part | undefined;
  for (let i = 0; i < cells.count; i++) {
    const both = (cells.marks[i]! & (startsA | startsB)) === (startsA | startsB);
    if (!part || both) parts.push((part = { from: i, to: i, bits: 0 }));
    part.to = i + 1;
    const x = value(i);
    if (x === x && !(cells.marks[i]! & outside)) part.bits += x * (cells.bytes[i + 1]! - cells.bytes[i]!);
  }
  return parts.filter((p) => p.bits !== 0).sort((x, y) => Math.abs(y.bits) - Math.abs(x.bits)).slice(0, most);
}

/** at returns the cell that has a position, of starts in bytes or in characters. */
export function at(starts: Int32Array, count: number, position: number): number {
  let [low, high] = [0, count - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}
