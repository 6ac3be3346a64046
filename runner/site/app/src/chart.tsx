// Plots that answer pointing. A table with the same numbers belongs below each one.
import uPlot from "uplot";
import { useLayoutEffect, useRef } from "preact/hooks";
import { around, aroundLog, logarithmic } from "site/axes";
import { Labels } from "site/labels";
import { theme } from "site/theme";

/** A line of a plot: a value for each x, and the ends of its interval where there are any. */
export interface Line {
  name: string;
  values: (number | null)[];
  low?: (number | null)[];
  high?: (number | null)[];
  /** Points without lines between them; their intervals are bars. */
  points?: boolean;
  /** The names of the points, which are written next to them where there is room. */
  labels?: (string | null)[];
  /** The line whose color this one has, by its place in the list. */
  like?: number;
  /** A line without points, such as a fit; it is dashed unless it is solid. */
  fit?: boolean;
  solid?: boolean;
}

export interface ChartProps {
  /** What the plot shows, for people who do not see it. */
  title: string;
  x: { name: string; values: number[]; log?: boolean; label?(x: number): string };
  y: { name: string; log?: boolean };
  lines: Line[];
  height?: number;
  /** Called with the x that a person clicks. */
  choose?(x: number): void;
}

/** Colors that people who confuse red and green tell apart, for light and dark backgrounds. */
const colors = {
  light: ["#0b57b0", "#b5510a", "#00775c", "#8a3a8f", "#6b5d00", "#5a6270", "#a32035", "#00708a"],
  dark: ["#8ab8f5", "#f3a868", "#5fd0ae", "#d59bdb", "#d8c74a", "#b4bcc9", "#ff9aa5", "#68cfe6"],
};

const number = (v: number | null | undefined) => (v === null || v === undefined ? "–" : Math.abs(v) >= 1e6 || (v !== 0 && Math.abs(v) < 1e-3) ? v.toExponential(3) : Number.isInteger(v) ? v.toLocaleString("en-US") : v.toFixed(4));

export function Chart(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const current = theme.value;
  // Before the page is drawn: paper, which has light colors, does not wait for more.
  useLayoutEffect(() => {
    const element = box.current!;
    const size = () => ({ width: Math.max(240, element.clientWidth), height: props.height ?? 340 });
    const plot = new uPlot({ ...options(props, current), ...size() }, data(props), element);
    if (props.choose) plot.over.addEventListener("click", () => plot.cursor.idx != null && props.choose!(props.x.values[plot.cursor.idx]!));
    plot.root.querySelectorAll("canvas").forEach((c) => c.setAttribute("aria-hidden", "true"));
    const sizes = new ResizeObserver(() => plot.setSize(size()));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      plot.destroy();
    };
  }, [props, current]);
  return (
    <figure class="chart">
      <figcaption>{props.title}</figcaption>
      <div ref={box} />
    </figure>
  );
}

function data({ x, lines }: ChartProps): uPlot.AlignedData {
  return [x.values, ...lines.flatMap((l) => (l.low && l.high ? [l.values, l.low, l.high] : [l.values]))] as uPlot.AlignedData;
}

function options({ x, y, lines }: ChartProps, current: "light" | "dark"): Omit<uPlot.Options, "width" | "height"> {
  const style = getComputedStyle(document.documentElement);
  const [ink, grid] = [style.getPropertyValue("--soft"), style.getPropertyValue("--line")];
  const series: uPlot.Series[] = [{ label: x.name, value: (_, v) => (v === null || v === undefined ? "" : (x.label?.(v) ?? number(v))) }];
  const bands: uPlot.Band[] = [];
  const color = (i: number) => colors[current][(lines[i]!.like ?? i) % 8]!;
  lines.forEach((line, i) => {
    const stroke = color(i);
    const at = series.length;
    series.push({ label: line.name, stroke, width: line.points ? 0 : 2, points: { show: !line.fit, size: 7, fill: stroke }, value: (u, v, _i, idx) => withEnds(u, v, idx, line.low ? at : -1), spanGaps: !line.solid, ...(line.fit && !line.solid && { dash: [6, 4] }) });
    if (!line.low || !line.high) return;
    const end = { stroke: stroke + "55", width: line.points ? 0 : 1, points: { show: false }, spanGaps: true, class: "end" };
    series.push({ label: `${line.name}, low`, ...end }, { label: `${line.name}, high`, ...end });
    if (!line.points) bands.push({ series: [at + 2, at + 1], fill: stroke + "22" });
  });
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", labelSize: 22 };
  const scattered = lines.some((l) => l.points);
  const range = (log: boolean | undefined) => (log ? { range: aroundLog } : scattered ? { range: around } : {});
  const short = (label?: (v: number) => string): uPlot.Axis.Values => (_, ticks) => ticks.map((v) => (v === null ? "" : label?.(v) ?? compact(v)));
  const below: uPlot.Axis = { ...axis, label: x.name, size: 34, space: 75, values: short(x.label), ...(x.values.every(Number.isInteger) && { incrs: integers }) };
  const left: uPlot.Axis = { ...axis, label: y.name, size: 60, values: short() };
  return {
    series,
    bands,
    scales: { x: { time: false, distr: x.log ? 3 : 1, ...range(x.log) }, y: { distr: y.log ? 3 : 1, ...range(y.log) } },
    axes: [x.log ? logarithmic(below, 60, (u) => u.width - 82) : below, y.log ? logarithmic(left, 25, (u) => u.height - 56) : left],
    cursor: { points: { size: 9 }, drag: { x: true, y: false } },
    legend: { live: true, markers: { dash: (u, i) => (u.series[i]!.dash ? "dashed" : "solid") } },
    hooks: { draw: [(u) => drawBars(u, lines, color), (u) => drawLabels(u, lines, style)] },
  };
}

/** An interval in the plot. */
interface Bar {
  x: number;
  top: number;
  bottom: number;
}

/** barsOf returns the intervals of a line of points, which are drawn as bars. */
function barsOf(u: uPlot, { points, low, high }: Line): Bar[] {
  if (!points || !low || !high) return [];
  return Array.from(u.data[0]).flatMap((x, i) => (low[i] == null || high[i] == null ? [] : [{ x: u.valToPos(x, "x", true), top: u.valToPos(high[i], "y", true), bottom: u.valToPos(low[i], "y", true) }]));
}

function drawBars(u: uPlot, lines: Line[], color: (i: number) => string): void {
  const half = 4 * uPlot.pxRatio;
  u.ctx.save();
  u.ctx.lineWidth = 1.5 * uPlot.pxRatio;
  u.ctx.setLineDash([]);
  lines.forEach((line, i) => {
    u.ctx.strokeStyle = color(i) + "aa";
    u.ctx.beginPath();
    for (const { x, top, bottom } of barsOf(u, line)) {
      for (const y of [top, bottom]) {
        u.ctx.moveTo(x - half, y);
        u.ctx.lineTo(x + half, y);
      }
      u.ctx.moveTo(x, top);
      u.ctx.lineTo(x, bottom);
    }
    u.ctx.stroke();
  });
  u.ctx.restore();
}

/** drawLabels writes the names of points next to them, on the color of the background so that lines do not cross them. */
function drawLabels(u: uPlot, lines: Line[], style: CSSStyleDeclaration): void {
  u.ctx.save();
  const labels = new Labels(u.ctx, u.bbox, uPlot.pxRatio);
  const named = lines.flatMap((line) => line.values.flatMap((y, i) => (line.labels && y !== null ? [{ name: line.labels[i] ?? "", x: u.valToPos(u.data[0][i]!, "x", true), y: u.valToPos(y, "y", true) }] : [])));
  for (const p of named) labels.keepFree(p.x, p.y);
  for (const b of lines.flatMap((line) => barsOf(u, line))) labels.avoid(b.x, b.top, b.bottom);
  u.ctx.fillStyle = style.getPropertyValue("--ink");
  u.ctx.strokeStyle = style.getPropertyValue("--back");
  for (const p of named) if (p.name) labels.write(p.name, p.x, p.y);
  u.ctx.restore();
}

/** The distances of the marks of an axis of integers. */
const integers = Array.from({ length: 16 }, (_, i) => [1, 2, 5].map((n) => n * 10 ** i)).flat();

/** withEnds writes a value with the ends of its interval, which are the two series after it. */
function withEnds(u: uPlot, v: number | null, idx: number | null, at: number): string {
  if (idx === null || idx === undefined) return ""; // Nothing is pointed at.
  if (at < 0) return number(v);
  return `${number(v)} [${number(u.data[at + 1]?.[idx])}, ${number(u.data[at + 2]?.[idx])}]`;
}

function compact(v: number): string {
  if (v === 0) return "0";
  if (Math.abs(v) >= 1e4) return new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(v);
  return String(Number(v.toPrecision(4)));
}
