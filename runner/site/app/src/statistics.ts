// Estimates of ratios with intervals, by the formulas of the package statistics of the runner.

/** Sums over units that are independent of each other, as in Go. */
export interface Sums {
  units: number;
  d: number;
  w: number;
  dd: number;
  dw: number;
  ww: number;
  www: number;
}

export const empty = (): Sums => ({ units: 0, d: 0, w: 0, dd: 0, dw: 0, ww: 0, www: 0 });

/** add adds a unit with a numerator d and a weight w. */
export function add(s: Sums, d: number, w: number): void {
  if (w === 0) return;
  s.units++;
  s.d += d;
  s.w += w;
  s.dd += d * d;
  s.dw += d * w;
  s.ww += w * w;
  s.www += w * w * w;
}

export function merge(into: Sums, other: Sums): void {
  for (const key of Object.keys(into) as (keyof Sums)[]) into[key] += other[key];
}

export interface Estimate {
  value: number;
  low: number;
  high: number;
  p: number;
  detectable: number;
  effective: number;
}

/** estimate returns the ratio of the sums, or null if fewer than two units determine it. */
export function estimate(s: Sums): Estimate | null {
  if (s.units < 2 || !(s.w > 0)) return null;
  const value = s.d / s.w;
  const effective = (s.w * s.w) / s.ww;
  const unbiased = 1 - (2 * s.www) / (s.w * s.ww) + 1 / effective;
  if (!(unbiased > 1e-6)) return null;
  let squares = s.dd - 2 * value * s.dw + value * value * s.ww;
  if (squares < 1e-13 * s.dd) squares = 0;
  const error = Math.sqrt(squares / unbiased) / s.w;
  const freedom = Math.max(effective - 1, 1);
  const half = error * quantile(0.975, freedom);
  const p = value === 0 ? 1 : error > 0 ? 2 * survival(Math.abs(value) / error, freedom) : 0;
  return { value, low: value - half, high: value + half, p, effective, detectable: (1.6448536269514722 + 0.8416212335729143) * error };
}

/** falseDiscovery returns the q-values of Benjamini and Hochberg. */
export function falseDiscovery(p: number[]): number[] {
  const order = p.map((_, i) => i).sort((x, y) => p[x]! - p[y]!);
  const q = new Array<number>(p.length);
  let least = 1;
  for (let rank = order.length; rank > 0; rank--) {
    least = Math.min(least, (p[order[rank - 1]!]! * order.length) / rank);
    q[order[rank - 1]!] = least;
  }
  return q;
}

/** survival is the probability that Student's t is above t, which is at least 0. */
export function survival(t: number, freedom: number): number {
  return 0.5 * incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
}

/** quantile inverts Student's t distribution above its middle. */
export function quantile(probability: number, freedom: number): number {
  let [low, high] = [0, 2];
  while (survival(high, freedom) > 1 - probability) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-15 * high; i++) {
    const middle = (low + high) / 2;
    if (survival(middle, freedom) > 1 - probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** incompleteBeta is the regularized function I_x(a, b), by a continued fraction (Lentz). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  let [f, c, d] = [1, 1, 0];
  for (let i = 0; i <= 1000; i++) {
    const m = i >> 1;
    const numerator = i === 0 ? 1 : i % 2 === 0 ? (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)) : (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonzero(1 + numerator * d);
    c = nonzero(1 + numerator / c);
    f *= c * d;
    if (Math.abs(1 - c * d) < 1e-15) break;
  }
  return front * (f - 1);
}

const nonzero = (x: number) => (Math.abs(x) < 1e-300 ? 1e-300 : x);

/** logGamma is by Lanczos' approximation with Godfrey's coefficients. */
function logGamma(x: number): number {
  const g = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  let sum = g[0]!;
  for (let i = 1; i < g.length; i++) sum += g[i]! / (x - 1 + i);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}
