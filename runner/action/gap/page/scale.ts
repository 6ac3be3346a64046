// The scale of colors: logarithmic and clamped, with a neutral middle.

/** What a heatmap shows. */
export type Shown = "gap" | "a" | "b";

/** The steps of a color on each side of the neutral one. */
export const steps = 8;

/** Losses and gaps below the first value are neutral; those above the second have the last color. In bits per byte. */
const limits: Record<Shown, [number, number]> = { gap: [0.1, 8], a: [0.25, 16], b: [0.25, 16] };

/** step returns the color of a value: 0 is neutral, and a negative one means that b is worse. */
export function step(shown: Shown, x: number): number {
  const [least, most] = limits[shown];
  const size = Math.abs(x);
  if (!(size >= least)) return 0;
  const n = Math.min(steps, 1 + Math.floor((steps * Math.log(size / least)) / Math.log(most / least)));
  return x < 0 ? -n : n;
}

/** bounds returns the least value of each color's step, for the bar of colors. */
export function bounds(shown: Shown): number[] {
  const [least, most] = limits[shown];
  return Array.from({ length: steps }, (_, i) => least * Math.pow(most / least, i / steps));
}

/** className names the color of a step: "p3" where a is worse or the loss is large, "n3" where b is worse. */
export function className(n: number): string {
  return n === 0 ? "" : (n > 0 ? "p" : "n") + Math.abs(n);
}
