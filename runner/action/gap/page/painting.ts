// The text of a document with its colors. The whole text is in the page at once, so that a browser finds and selects it;
// the parts near the window are divided into colored cells when they come into sight.
import { at, startsA, startsB, outside, type Cells } from "gap/cells";
import { className, step, type Shown } from "gap/scale";

/** A chunk of the text, which a browser leaves out of its layout while it is out of sight. */
interface Chunk {
  element: HTMLElement;
  from: number;
  to: number;
  /** What its cells are colored by; "" while it is plain text. */
  painted: Shown | "";
  near: boolean;
}

const usual = 2000;
const longest = 8000;
/** The width of a line in characters and its height, for the estimated height of chunks out of sight. */
const line = { characters: 90, height: 26 };

export class Painting {
  private readonly chunks: Chunk[] = [];
  private readonly observer: IntersectionObserver;
  private readonly cellOf = new WeakMap<Element, number>();
  private readonly chunkOf = new Map<Element, Chunk>();
  private current: Element | null = null;

  constructor(
    readonly root: HTMLElement,
    readonly cells: Cells,
    private shown: Shown,
  ) {
    this.divide();
    root.replaceChildren(...this.chunks.map((c) => c.element));
    this.observer = new IntersectionObserver((entries) => this.see(entries), { rootMargin: "1200px 0px" });
    for (const chunk of this.chunks) this.observer.observe(chunk.element);
  }

  /** show changes what the colors mean. */
  show(shown: Shown): void {
    this.shown = shown;
    for (const chunk of this.chunks) if (chunk.near) this.paint(chunk);
  }

  /** mark makes a cell the current one, and scrolls to it if asked to. */
  mark(cell: number, scroll: boolean): void {
    const chunk = this.chunks.find((c) => cell >= c.from && cell < c.to);
    if (!chunk) return;
    this.paint(chunk);
    this.current?.classList.remove("current");
    this.current = chunk.element.children[cell - chunk.from] ?? null;
    this.current?.classList.add("current");
    if (scroll) this.current?.scrollIntoView({ block: "center" });
  }

  /** cell returns the cell that an element of the page belongs to. */
  cell(target: EventTarget | null): number | undefined {
    const element = target instanceof Element ? target.closest("span") : null;
    return element ? this.cellOf.get(element) : undefined;
  }

  /** atByte returns the cell that has a byte. */
  atByte(byte: number): number {
    return at(this.cells, byte);
  }

  close(): void {
    this.observer.disconnect();
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
      const text = cells.text.slice(cells.chars[from], cells.chars[i + 1]);
      element.textContent = text;
      element.style.containIntrinsicBlockSize = `auto ${height(text)}px`;
      const chunk: Chunk = { element, from, to: i + 1, painted: "", near: false };
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
    }
  }

  private paint(chunk: Chunk): void {
    if (chunk.painted === this.shown) return;
    if (chunk.painted === "") {
      const cells = document.createDocumentFragment();
      for (let i = chunk.from; i < chunk.to; i++) cells.append(this.element(i));
      chunk.element.replaceChildren(cells);
    }
    for (let i = chunk.from; i < chunk.to; i++) {
      const element = chunk.element.children[i - chunk.from]!;
      const current = element === this.current;
      element.className = this.classes(i);
      if (current) element.classList.add("current");
    }
    chunk.painted = this.shown;
  }

  private element(i: number): HTMLElement {
    const span = document.createElement("span");
    this.cellOf.set(span, i);
    const text = this.cells.text.slice(this.cells.chars[i], this.cells.chars[i + 1]);
    for (const piece of text.split(/([ \n\t])/)) {
      const kind = { " ": "s", "\n": "n", "\t": "t" }[piece];
      if (!kind) {
        if (piece) span.append(piece);
        continue;
      }
      const space = document.createElement("i");
      space.className = kind;
      space.textContent = piece;
      span.append(space);
    }
    return span;
  }

  private classes(i: number): string {
    const marks = this.cells.marks[i]!;
    const classes = marks & outside ? ["out"] : [className(step(this.shown, valueOf(this.cells, this.shown, i)))];
    if (marks & startsA) classes.push("ca");
    if (marks & startsB) classes.push("cb");
    return classes.join(" ");
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
