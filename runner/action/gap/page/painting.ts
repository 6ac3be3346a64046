// The text of a document with its colors. The text is plain text of the page, so that a browser finds, selects and copies
// it; the colors and marks are drawn behind the parts of it that are near the window.
import { ordered } from "site/format";
import { theme } from "site/theme";
import { at, startsA, startsB, outside, type Cells } from "gap/cells";
import { Pen } from "gap/pen";
import { className, step, type Shown } from "gap/scale";

/** A chunk of the text, which a browser leaves out of its layout while it is out of sight. */
interface Chunk {
  element: HTMLElement;
  text: Text;
  from: number;
  to: number;
  /** The drawing, while the chunk is near the window. */
  canvas: HTMLCanvasElement | null;
  near: boolean;
}

/** What the drawing has. */
export interface Look {
  shown: Shown;
  /** Marks that are left out: "s" for white space, "a" and "b" for the boundaries of tokens. */
  hidden: string;
}

const usual = 1500;
const longest = 8000;
/** The width of a line in characters and its height, for the estimated height of chunks out of sight. */
const line = { characters: 90, height: 26 };
/** On paper, at most this many chunks have colors. */
const printed = 100;

export class Painting {
  private readonly chunks: Chunk[] = [];
  private readonly chunkOf = new Map<Element, Chunk>();
  private readonly observer: IntersectionObserver;
  private readonly sizes: ResizeObserver;
  private readonly stop: () => void;
  private readonly frame = document.createElement("div");
  private current = -1;
  private width = 0;

  constructor(
    readonly root: HTMLElement,
    readonly cells: Cells,
    private look: Look,
  ) {
    this.frame.className = "current";
    this.divide();
    root.replaceChildren(...this.chunks.map((c) => c.element));
    this.observer = new IntersectionObserver((entries) => this.see(entries), { rootMargin: "900px 0px" });
    for (const chunk of this.chunks) this.observer.observe(chunk.element);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(root);
    const forget = theme.subscribe(() => requestAnimationFrame(() => this.repaint()));
    const print = () => this.chunks.slice(0, printed).forEach((c) => this.print(c));
    const printedAll = () => this.chunks.slice(0, printed).forEach((c) => c.element.querySelector(".paper")?.replaceWith(c.text));
    addEventListener("beforeprint", print);
    addEventListener("afterprint", printedAll);
    const copy = (event: ClipboardEvent) => this.copy(event);
    root.addEventListener("copy", copy);
    this.stop = () => {
      forget();
      removeEventListener("beforeprint", print);
      removeEventListener("afterprint", printedAll);
      root.removeEventListener("copy", copy);
    };
  }

  /** show changes what is drawn. */
  show(look: Look): void {
    this.look = look;
    this.repaint();
  }

  /** mark makes a cell the current one, and scrolls to it if asked to. */
  mark(cell: number, scroll: boolean): void {
    const chunk = this.chunks.find((c) => cell >= c.from && cell < c.to);
    if (!chunk) return;
    this.current = cell;
    if (scroll) chunk.element.scrollIntoView({ block: "nearest" });
    this.placeFrame(chunk);
    if (scroll) this.frame.scrollIntoView({ block: "center" });
  }

  /** cellAt returns the cell at a point of the window. */
  cellAt(x: number, y: number): number | null {
    const place = caret(x, y);
    const chunk = place && place.node.parentElement ? this.chunkOf.get(place.node.parentElement) : undefined;
    if (!chunk || place!.node !== chunk.text) return null;
    for (const offset of [place!.offset, place!.offset - 1]) {
      if (offset < 0 || offset >= chunk.text.length) continue;
      const range = document.createRange();
      range.setStart(chunk.text, offset);
      range.setEnd(chunk.text, offset + 1);
      const r = range.getBoundingClientRect();
      if (x >= r.left - 1 && x <= r.right + 1 && y >= r.top - 4 && y <= r.bottom + 4) return this.cellOfChar(offset + this.cells.chars[chunk.from]!);
    }
    return null;
  }

  close(): void {
    this.observer.disconnect();
    this.sizes.disconnect();
    this.stop();
  }

  /** copy gives a copy the text as it is, with the controls that are shown as visible characters. */
  private copy(event: ClipboardEvent): void {
    const selection = getSelection();
    if (!selection || selection.rangeCount === 0) return;
    const { startContainer, startOffset, endContainer, endOffset } = selection.getRangeAt(0);
    const [from, to] = [this.charAt(startContainer, startOffset), this.charAt(endContainer, endOffset)];
    if (from === null || to === null || from >= to) return;
    event.clipboardData?.setData("text/plain", this.cells.text.slice(from, to));
    event.preventDefault();
  }

  /** charAt returns the position in the document of a position in the text of a chunk. */
  private charAt(node: Node, offset: number): number | null {
    const chunk = node.parentElement && this.chunkOf.get(node.parentElement);
    return chunk && node === chunk.text ? this.cells.chars[chunk.from]! + offset : null;
  }

  private cellOfChar(char: number): number {
    return at(this.cells.chars, this.cells.count, char);
  }

  /** divide makes chunks that end where a line does, unless a line is very long. */
  private divide(): void {
    const { cells } = this;
    let from = 0;
    for (let i = 0; i < cells.count; i++) {
      const length = cells.chars[i + 1]! - cells.chars[from]!;
      const ends = cells.text.charCodeAt(cells.chars[i + 1]! - 1) === 10;
      if (!(i + 1 === cells.count || length >= longest || (ends && length >= usual))) continue;
      const element = document.createElement("div");
      element.className = ends || i + 1 === cells.count ? "chunk" : "chunk cut";
      const text = document.createTextNode(ordered(cells.text.slice(cells.chars[from], cells.chars[i + 1])));
      element.append(text);
      element.style.containIntrinsicBlockSize = `auto ${height(text.data)}px`;
      const chunk: Chunk = { element, text, from, to: i + 1, canvas: null, near: false };
      this.chunks.push(chunk);
      this.chunkOf.set(element, chunk);
      from = i + 1;
    }
  }

  private see(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const chunk = this.chunkOf.get(entry.target)!;
      chunk.near = entry.isIntersecting;
      if (chunk.near) this.paint(chunk);
      else {
        chunk.canvas?.remove();
        chunk.canvas = null;
      }
    }
  }

  private resize(): void {
    if (this.width === this.root.clientWidth) return;
    this.width = this.root.clientWidth;
    this.repaint();
  }

  private repaint(): void {
    for (const chunk of this.chunks) {
      if (!chunk.near) continue;
      chunk.canvas?.remove();
      chunk.canvas = null;
      this.paint(chunk);
    }
    const chunk = this.chunks.find((c) => this.current >= c.from && this.current < c.to);
    if (chunk) this.placeFrame(chunk);
  }

  private paint(chunk: Chunk): void {
    if (chunk.canvas) return;
    const { cells, look } = this;
    const pen = new Pen(chunk.element, this.root);
    const first = cells.chars[chunk.from]!;
    const range = document.createRange();
    for (let i = chunk.from; i < chunk.to; i++) {
      const [start, end] = [cells.chars[i]! - first, cells.chars[i + 1]! - first];
      range.setStart(chunk.text, start);
      range.setEnd(chunk.text, end);
      const marks = cells.marks[i]!;
      const rects = range.getClientRects();
      for (const r of rects) pen.fill(r, marks & outside ? "outside" : step(look.shown, valueOf(cells, look.shown, i)));
      const r = rects[0];
      if (!r) continue;
      if (marks & startsA && !look.hidden.includes("a")) pen.tick(r, true);
      if (marks & startsB && !look.hidden.includes("b")) pen.tick(r, false);
      if (!look.hidden.includes("s")) this.spaces(pen, chunk, range, start, end);
    }
    chunk.canvas = pen.canvas;
    chunk.element.append(pen.canvas);
  }

  /**
   * print colors the text of a chunk itself until it is on paper. Lines are longer or shorter there than on the screen, so
   * that a drawing behind them would not fit.
   */
  private print(chunk: Chunk): void {
    const { cells, look } = this;
    const first = cells.chars[chunk.from]!;
    const paper = document.createElement("span");
    paper.className = "paper";
    for (let i = chunk.from, from = i; i < chunk.to; i++) {
      const level = (k: number) => (cells.marks[k]! & outside ? 0 : step(look.shown, valueOf(cells, look.shown, k)));
      if (i + 1 < chunk.to && level(i + 1) === level(from)) continue;
      const run = document.createElement("span");
      run.className = className(level(from));
      run.textContent = chunk.text.data.slice(cells.chars[from]! - first, cells.chars[i + 1]! - first);
      paper.append(run);
      from = i + 1;
    }
    chunk.text.replaceWith(paper);
  }

  /** spaces makes the white space of a cell visible. */
  private spaces(pen: Pen, chunk: Chunk, range: Range, start: number, end: number): void {
    for (let k = start; k < end; k++) {
      const c = chunk.text.data.charCodeAt(k);
      if (c !== 32 && c !== 10 && c !== 9) continue;
      if (end - start > 1) {
        range.setStart(chunk.text, k);
        range.setEnd(chunk.text, k + 1);
      }
      const r = range.getClientRects()[0];
      if (r) pen.space(r, c);
    }
  }

  /** placeFrame draws the frame of the current cell. */
  private placeFrame(chunk: Chunk): void {
    const { cells } = this;
    const first = cells.chars[chunk.from]!;
    const range = document.createRange();
    range.setStart(chunk.text, cells.chars[this.current]! - first);
    range.setEnd(chunk.text, cells.chars[this.current + 1]! - first);
    chunk.element.append(this.frame);
    const box = chunk.element.getBoundingClientRect();
    const r = range.getClientRects()[0] ?? box;
    const style = this.frame.style;
    [style.left, style.top, style.width, style.height] = [`${r.left - box.left - 2}px`, `${r.top - box.top - 2}px`, `${Math.max(8, r.width) + 4}px`, `${r.height + 4}px`];
  }
}

/** valueOf is what a cell shows, in bits per byte; NaN if there is nothing to show. */
export function valueOf(cells: Cells, shown: Shown, i: number): number {
  return shown === "gap" ? cells.a[i]! - cells.b[i]! : shown === "a" ? cells.a[i]! : cells.b[i]!;
}

function height(text: string): number {
  let lines = 0;
  for (const part of text.replace(/\n$/, "").split("\n")) lines += 1 + Math.floor(part.length / line.characters);
  return lines * line.height;
}

/** caret returns the position in the text of the page at a point. Safari has the older of the two functions only. */
function caret(x: number, y: number): { node: Node; offset: number } | null {
  if ("caretPositionFromPoint" in document) {
    const position = document.caretPositionFromPoint(x, y);
    return position && { node: position.offsetNode, offset: position.offset };
  }
  const range = (document as unknown as { caretRangeFromPoint(x: number, y: number): Range | null }).caretRangeFromPoint(x, y);
  return range && { node: range.startContainer, offset: range.startOffset };
}
