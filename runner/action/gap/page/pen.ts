// Drawing behind a chunk of text: colors, boundaries of tokens and white space.
import { className } from "gap/scale";

/** The colors of the style sheet, which depend on the theme. */
function color(style: CSSStyleDeclaration, name: string): string {
  return style.getPropertyValue("--" + name).trim();
}

export class Pen {
  readonly canvas = document.createElement("canvas");
  private readonly context: CanvasRenderingContext2D;
  private readonly style: CSSStyleDeclaration;
  private readonly box: DOMRect;
  private readonly colors = new Map<string, string>();

  constructor(element: HTMLElement, root: HTMLElement) {
    this.style = getComputedStyle(root);
    this.box = element.getBoundingClientRect();
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [this.box.width, this.box.height];
    this.canvas.width = Math.ceil(width * scale);
    this.canvas.height = Math.ceil(height * scale);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.setAttribute("aria-hidden", "true");
    this.context = this.canvas.getContext("2d")!;
    this.context.scale(scale, scale);
    this.context.font = `${parseFloat(this.style.fontSize) * 0.85}px ${this.style.fontFamily}`;
    this.context.textBaseline = "alphabetic";
  }

  private use(name: string): void {
    let value = this.colors.get(name);
    if (value === undefined) this.colors.set(name, (value = color(this.style, name)));
    this.context.fillStyle = value;
  }

  /** fill draws the color of a step, or that of text outside of the scored span. */
  fill(r: DOMRect, step: number | "outside"): void {
    if (step === 0) return;
    this.use(step === "outside" ? "line" : className(step));
    const [x, y] = [r.left - this.box.left, r.top - this.box.top];
    this.context.fillRect(x, y - 2, r.width, step === "outside" ? 2 : r.height + 4);
    if (step === "outside") this.context.fillRect(x, y + r.height, r.width, 2);
  }

  /** tick marks the start of a token: of model a above the text, of model b below it. */
  tick(r: DOMRect, above: boolean): void {
    this.use("tick");
    this.context.fillRect(Math.round(r.left - this.box.left), above ? r.top - this.box.top - 2 : r.bottom - this.box.top - 3, 1, 5);
  }

  /** space makes a white space character visible. */
  space(r: DOMRect, character: number): void {
    this.use("soft");
    const [x, y] = [r.left - this.box.left, r.top - this.box.top];
    if (character === 32) this.context.fillRect(x + r.width / 2 - 1, y + r.height / 2, 2, 2);
    else if (character === 9) this.context.fillText("⇥", x + 1, y + 0.75 * r.height);
    else this.context.fillText("⏎", x + 1, y + 0.75 * r.height);
  }
}
