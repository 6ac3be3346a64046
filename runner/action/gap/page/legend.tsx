// The bar of colors.
import { bounds, className, steps, type Shown } from "gap/scale";

export function Legend({ shown, a, b }: { shown: Shown; a: string; b: string }) {
  const from = bounds(shown);
  const sides = shown === "gap" ? Array.from({ length: 2 * steps + 1 }, (_, i) => i - steps) : Array.from({ length: steps + 1 }, (_, i) => i);
  const label = (n: number) => {
    if (n === 0) return "0";
    const text = from[Math.abs(n) - 1]!;
    return (n < 0 ? "−" : shown === "gap" ? "+" : "") + (text < 1 ? text.toFixed(2) : text.toFixed(1));
  };
  return (
    <figure class="legend">
      <figcaption>{shown === "gap" ? `Bits per byte: a minus b. Orange: ${a} is worse. Blue: ${b} is worse.` : `Bits per byte of ${shown === "a" ? a : b}.`} The first value of each color; the last one has all beyond.</figcaption>
      <div class="swatches">{sides.map((n) => <span class={className(n)}>{label(n)}</span>)}</div>
    </figure>
  );
}
