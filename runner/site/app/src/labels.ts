// Names of points in a plot, each where it covers neither a point nor another name.

interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

const size = 12;
const radius = 5;
const longest = 32;

const apart = (a: Box, b: Box) => a.left + a.width <= b.left || b.left + b.width <= a.left || a.top + a.height <= b.top || b.top + b.height <= a.top;

export class Labels {
  private readonly taken: Box[] = [];
  private readonly avoided: Box[] = [];

  constructor(
    private readonly pen: CanvasRenderingContext2D,
    private readonly within: Box,
    /** The pixels of the canvas for one of the page. */
    private readonly ratio: number,
  ) {
    pen.font = `${size * ratio}px system-ui, sans-serif`;
    pen.lineJoin = "round";
    pen.lineWidth = 4 * ratio;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
  }

  /** keepFree keeps names off a point. */
  keepFree(x: number, y: number): void {
    const r = radius * this.ratio;
    this.taken.push({ left: x - r, top: y - r, width: 2 * r, height: 2 * r });
  }

  /** avoid keeps names off the interval of a point where there is another place for them. */
  avoid(x: number, top: number, bottom: number): void {
    const r = radius * this.ratio;
    this.avoided.push({ left: x - r, top: top - r, width: 2 * r, height: bottom - top + 2 * r });
  }

  /** write writes a name at the first side of a point that has room; a table has those without room. */
  write(name: string, x: number, y: number): void {
    const text = name.length <= longest ? name : name.slice(0, longest / 2) + "…" + name.slice(-longest / 2);
    const [width, height, gap] = [this.pen.measureText(text).width, size * this.ratio, (radius + 2) * this.ratio];
    const places = [
      { left: x - width / 2, top: y - gap - height },
      { left: x - width / 2, top: y + gap },
      { left: x + gap, top: y - height / 2 },
      { left: x - gap - width, top: y - height / 2 },
      { left: x + gap / 2, top: y - gap - height },
      { left: x - gap / 2 - width, top: y - gap - height },
      { left: x + gap / 2, top: y + gap },
      { left: x - gap / 2 - width, top: y + gap },
    ];
    const free = places.map((p) => ({ ...p, width, height })).filter((b) => this.inside(b) && this.taken.every((t) => apart(b, t)));
    const box = free.find((b) => this.avoided.every((t) => apart(b, t))) ?? free[0];
    if (!box) return;
    const space = radius * this.ratio;
    this.taken.push({ left: box.left - space, top: box.top, width: width + 2 * space, height });
    this.pen.strokeText(text, box.left, box.top + height / 2);
    this.pen.fillText(text, box.left, box.top + height / 2);
  }

  private inside(b: Box): boolean {
    const w = this.within;
    return b.left >= w.left && b.left + b.width <= w.left + w.width && b.top >= w.top && b.top + b.height <= w.top + w.height;
  }
}
