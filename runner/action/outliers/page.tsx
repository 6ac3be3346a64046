// The page of outliers: dimensions of a model with extreme activations.
import { Chart, type Line } from "site/chart";
import type { Column } from "site/columns";
import { familyName, fitName } from "site/family";
import { count, decimal } from "site/format";
import { json, role } from "site/load";
import { Loaded } from "site/loaded";
import type { Page, ViewProps } from "site/page";
import { whole } from "site/parquet";
import { param, set } from "site/route";
import { Table } from "site/table";

interface Row {
  model: string;
  family: string;
  parameters: number | null;
  hiddenSize: number;
  sites: number;
  problem?: string;
  sequences: number;
  bpb: number;
  perplexity: number | null;
  occurrences: number;
  dimensions: number;
  meanLayerPercentage: number | null;
  medianLayerPercentage: number | null;
  meanSequencePercentage: number | null;
  medianSequencePercentage: number | null;
  largest: { magnitude: number; site: string; ratioToMedian: number | null; dimension: number | null } | null;
}

interface Measured {
  value: number;
  low: number;
  high: number;
}

/** The curve a exp(b x) of a measure, where x is the perplexity. */
interface Fit {
  family: string;
  of: string;
  models: string[];
  curve: { a: Measured; b: Measured; deviation: number };
}

interface Summary {
  datasets: string[];
  definition: { sequences: number; sequenceLength: number; threshold: number; layerShare: number; sequenceShare: number };
  models: Row[] | null;
  fits: Fit[] | null;
  notes?: string[] | null;
  warnings?: string[] | null;
}

/** What is plotted against perplexity. */
const measures: { key: string; title: string; value(r: Row): number | null }[] = [
  { key: "mean_layer_pct", title: "Layers affected, mean, %", value: (r) => r.meanLayerPercentage },
  { key: "median_layer_pct", title: "Layers affected, median, %", value: (r) => r.medianLayerPercentage },
  { key: "mean_seq_pct", title: "Positions affected, mean, %", value: (r) => r.meanSequencePercentage },
  { key: "median_seq_pct", title: "Positions affected, median, %", value: (r) => r.medianSequencePercentage },
  { key: "num_outliers", title: "Outlier dimensions", value: (r) => (r.sites === 0 ? null : r.dimensions) },
];

function Outliers({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => json<Summary>(role(entry, "details"))}>
      {(s) => {
        const notes = [...(s.warnings ?? []), ...(s.notes ?? []), ...(s.models ?? []).filter((m) => m.problem).map((m) => `${m.model}: ${m.problem}`)];
        const d = s.definition;
        return (
          <>
            <p class="hint">A dimension is an outlier of a sequence if it reaches a magnitude of {d.threshold} at {100 * d.layerShare}% of the layers and {100 * d.sequenceShare}% of the positions: {count(d.sequences)} sequences of {count(d.sequenceLength)} tokens of {s.datasets.join(", ")}.</p>
            {notes.length > 0 && <ul class="warnings">{notes.map((n) => <li>{n}</li>)}</ul>}
            <Plot rows={s.models ?? []} fits={s.fits ?? []} />
            <Table name="models" rows={s.models ?? []} columns={columnsOf(s.models ?? [])} sort="perplexity" />
            <Largest rows={s.models ?? []} />
            <Curves fits={s.fits ?? []} />
          </>
        );
      }}
    </Loaded>
  );
}

function Largest({ rows }: { rows: Row[] }) {
  return (
    <>
      <h2>The largest activation of each model</h2>
      <Table name="largest activations" prefix="largest-" rows={rows} columns={largestColumns} sort="-largest" />
    </>
  );
}

/** The number of points of a curve. */
const curvePoints = 60;

/** curve returns the perplexities at which a curve is drawn: those of the models of its family and some between them. */
function between(points: number[]): number[] {
  const [least, most] = [Math.min(...points), Math.max(...points)];
  return Array.from({ length: curvePoints + 1 }, (_, i) => least + ((most - least) * i) / curvePoints);
}

function Plot({ rows, fits }: { rows: Row[]; fits: Fit[] }) {
  const measure = measures.find((m) => m.key === param("measure")) ?? measures[4]!;
  const points = rows.filter((r) => r.perplexity !== null && measure.value(r) !== null);
  const families = [...new Set(points.map((r) => r.family))];
  const curves = fits.filter((f) => f.of === measure.key && families.includes(f.family)).map((f) => ({ f, x: between(points.filter((p) => p.family === f.family).map((p) => p.perplexity!)) }));
  const x = [...new Set([...points.map((r) => r.perplexity!), ...curves.flatMap((c) => c.x)])].sort((a, b) => a - b);
  const lines: Line[] = families.map((family) => {
    const at = x.map((v) => points.find((p) => p.family === family && p.perplexity === v));
    return { name: familyName(family, families), points: true, values: at.map((r) => (r ? measure.value(r) : null)), labels: at.map((r) => r?.model ?? null) };
  });
  for (const { f, x: own } of curves) {
    const [least, most] = [own[0]!, own[own.length - 1]!];
    lines.push({ name: fitName("a exp(b x)", f.family), fit: true, like: families.indexOf(f.family), values: x.map((v) => (v < least || v > most ? null : f.curve.a.value * Math.exp(f.curve.b.value * v))) });
  }
  return (
    <>
      <div class="choose">
        <label><span>Measure</span>
          <select value={measure.key} onChange={(e) => set({ measure: e.currentTarget.value })}>{measures.map((m) => <option value={m.key}>{m.title}</option>)}</select>
        </label>
      </div>
      {x.length > 0 ? <Chart title={`${measure.title} by perplexity${curves.length > 0 ? ", with fitted curves" : ""}`} x={{ name: "perplexity per token", values: x }} y={{ name: measure.title }} lines={lines} /> : <p>No model has both a perplexity and this measure.</p>}
    </>
  );
}

function Curves({ fits }: { fits: Fit[] }) {
  if (fits.length === 0) return null;
  const measured = (key: "a" | "b"): Column<Fit> => ({ key, title: key, unit: "95% interval", number: true, value: (f) => f.curve[key].value, text: (f) => `${short(f.curve[key].value)} [${short(f.curve[key].low)}, ${short(f.curve[key].high)}]` });
  const columns: Column<Fit>[] = [
    { key: "of", title: "Measure", value: (f) => measures.find((m) => m.key === f.of)?.title ?? f.of },
    { key: "family", title: "Family", value: (f) => f.family },
    { key: "models", title: "Models", number: true, value: (f) => f.models.length },
    measured("a"),
    measured("b"),
    { key: "deviation", title: "Deviation", unit: "of the measure", number: true, value: (f) => f.curve.deviation, text: (f) => short(f.curve.deviation) },
  ];
  return (
    <>
      <h2>Curves a exp(b x) of the perplexity x</h2>
      <p class="hint">By least squares of the measure. The intervals say nothing about perplexities outside of those that were fitted.</p>
      <Table name="curves" prefix="curve-" rows={fits} columns={columns} sort="of" />
    </>
  );
}

/** short writes a number of any size with four digits. */
const short = (x: number) => String(Number(x.toPrecision(4)));

/** columnsOf leaves out families where there are none. */
const columnsOf = (rows: Row[]) => columns.filter((c) => c.key !== "family" || rows.some((r) => r.family));

const columns: Column<Row>[] = [
  { key: "model", title: "Model", value: (r) => r.model },
  { key: "family", title: "Family", value: (r) => r.family },
  { key: "parameters", title: "Parameters", number: true, value: (r) => r.parameters, text: (r) => count(r.parameters) },
  { key: "perplexity", title: "Perplexity", unit: "per token", number: true, value: (r) => r.perplexity, text: (r) => decimal(r.perplexity, 2) },
  { key: "bpb", title: "Bits per byte", number: true, value: (r) => r.bpb, text: (r) => decimal(r.bpb) },
  { key: "dimensions", title: "Outlier dimensions", number: true, value: (r) => r.dimensions, text: (r) => `${count(r.dimensions)} of ${count(r.hiddenSize)}` },
  { key: "occurrences", title: "Occurrences", number: true, value: (r) => r.occurrences, text: (r) => count(r.occurrences) },
  ...measures.slice(0, 4).map((m): Column<Row> => ({ key: m.key, title: m.title.replace(/ .*/, ""), unit: m.title.replace(/^.*affected, (.*), %$/, "%, $1"), help: m.title, number: true, value: m.value, text: (r) => decimal(m.value(r), 1) })),
  { key: "sequences", title: "Sequences", number: true, value: (r) => r.sequences, text: (r) => count(r.sequences) },
];

const largestColumns: Column<Row>[] = [
  { key: "model", title: "Model", value: (r) => r.model },
  { key: "largest", title: "Largest", unit: "magnitude", number: true, value: (r) => r.largest?.magnitude, text: (r) => decimal(r.largest?.magnitude, 1) },
  { key: "ratio", title: "Largest", unit: "to median", number: true, help: "the ratio to the median magnitude of the same norm in the same sequence", value: (r) => r.largest?.ratioToMedian, text: (r) => decimal(r.largest?.ratioToMedian, 1) },
  { key: "dimension", title: "Dimension", number: true, value: (r) => r.largest?.dimension },
  { key: "site", title: "Norm", value: (r) => r.largest?.site },
];

interface Dimension {
  model: string;
  dimension: number;
  occurrences: number;
  mean_layer_pct: number;
  mean_seq_pct: number;
  max_magnitude: number;
  layers_affected: number;
}

const dimensionColumns: Column<Dimension>[] = [
  { key: "model", title: "Model", value: (d) => d.model },
  { key: "dimension", title: "Dimension", number: true, value: (d) => d.dimension },
  { key: "occurrences", title: "Occurrences", number: true, value: (d) => d.occurrences, text: (d) => count(d.occurrences) },
  { key: "mean_layer_pct", title: "Layers", unit: "%, mean", number: true, value: (d) => d.mean_layer_pct, text: (d) => decimal(d.mean_layer_pct, 1) },
  { key: "mean_seq_pct", title: "Positions", unit: "%, mean", number: true, value: (d) => d.mean_seq_pct, text: (d) => decimal(d.mean_seq_pct, 1) },
  { key: "max_magnitude", title: "Largest", unit: "magnitude", number: true, value: (d) => d.max_magnitude, text: (d) => decimal(d.max_magnitude, 1) },
  { key: "layers_affected", title: "Norms", unit: "affected", number: true, value: (d) => d.layers_affected, text: (d) => count(d.layers_affected) },
];

interface Site {
  model: string;
  site: number;
  site_name: string;
  max_magnitude: number;
  mean_median_magnitude: number | null;
  occurrences: number;
}

const siteColumns: Column<Site>[] = [
  { key: "site_name", title: "Norm", value: (s) => s.site, text: (s) => s.site_name },
  { key: "model", title: "Model", value: (s) => s.model },
  { key: "max_magnitude", title: "Largest", unit: "magnitude", number: true, value: (s) => s.max_magnitude, text: (s) => decimal(s.max_magnitude, 2) },
  { key: "mean_median_magnitude", title: "Median", unit: "magnitude, mean", number: true, value: (s) => s.mean_median_magnitude, text: (s) => decimal(s.mean_median_magnitude, 3) },
  { key: "occurrences", title: "Occurrences", number: true, value: (s) => s.occurrences, text: (s) => count(s.occurrences) },
];

interface Sequence {
  model: string;
  dataset: string;
  shard: string;
  row_index: number;
  num_tokens: number;
  scored_bytes: number;
  perplexity: number | null;
  occurrences: number;
  max_magnitude: number | null;
}

const sequenceColumns: Column<Sequence>[] = [
  { key: "document", title: "Document", value: (s) => `${s.shard}:${s.row_index}` },
  { key: "dataset", title: "Dataset", value: (s) => s.dataset },
  { key: "model", title: "Model", value: (s) => s.model },
  { key: "occurrences", title: "Outlier dimensions", number: true, value: (s) => s.occurrences, text: (s) => count(s.occurrences) },
  { key: "max_magnitude", title: "Largest", unit: "magnitude", number: true, value: (s) => s.max_magnitude, text: (s) => decimal(s.max_magnitude, 2) },
  { key: "perplexity", title: "Perplexity", unit: "per token", number: true, value: (s) => s.perplexity, text: (s) => decimal(s.perplexity, 2) },
  { key: "num_tokens", title: "Tokens", number: true, value: (s) => s.num_tokens, text: (s) => count(s.num_tokens) },
  { key: "scored_bytes", title: "Bytes", unit: "scored", number: true, value: (s) => s.scored_bytes, text: (s) => count(s.scored_bytes) },
];

interface Occurrence {
  model: string;
  dataset: string;
  shard_name: string;
  row_index: number;
  dimension: number;
  layers_affected: number;
  layer_pct: number;
  seq_pct: number;
  max_magnitude: number;
}

const occurrenceColumns: Column<Occurrence>[] = [
  { key: "document", title: "Document", value: (o) => `${o.shard_name}:${o.row_index}` },
  { key: "dataset", title: "Dataset", value: (o) => o.dataset },
  { key: "model", title: "Model", value: (o) => o.model },
  { key: "dimension", title: "Dimension", number: true, value: (o) => o.dimension },
  { key: "layer_pct", title: "Layers", unit: "%", number: true, value: (o) => o.layer_pct, text: (o) => decimal(o.layer_pct, 1) },
  { key: "seq_pct", title: "Positions", unit: "%", number: true, value: (o) => o.seq_pct, text: (o) => decimal(o.seq_pct, 1) },
  { key: "max_magnitude", title: "Largest", unit: "magnitude", number: true, value: (o) => o.max_magnitude, text: (o) => decimal(o.max_magnitude, 1) },
  { key: "layers_affected", title: "Norms", unit: "affected", number: true, value: (o) => o.layers_affected, text: (o) => count(o.layers_affected) },
];

/** A table that is shown as it is. */
interface Shown<T> {
  /** The role of the file. */
  file: string;
  rows: string;
  hint: string;
  columns: Column<T>[];
  sort: string;
  words(row: T): string;
}

function tab<T>({ file, rows, hint, columns, sort, words }: Shown<T>) {
  return ({ entry }: ViewProps) => (
    <Loaded of={entry.id + file} load={() => whole<T>(entry, file)}>
      {(all) => (
        <>
          <p class="hint">{hint}</p>
          <Table name={rows} rows={all} columns={columns} sort={sort} words={words} />
        </>
      )}
    </Loaded>
  );
}

export const page: Page = {
  subtitle: () => "Dimensions of a model whose activations are extreme, systematically over layers and positions.",
  tabs: [
    { id: "models", title: "Models", view: Outliers },
    {
      id: "dimensions", title: "Dimensions", view: tab<Dimension>({
        file: "dimensions", rows: "dimensions", columns: dimensionColumns, sort: "-occurrences", words: (d) => `${d.model}: ${d.dimension}`,
        hint: "An occurrence is a sequence in which the dimension is an outlier. The percentages are means over its occurrences.",
      }),
    },
    {
      id: "sites", title: "Norms", view: tab<Site>({
        file: "sites", rows: "norms", columns: siteColumns, sort: "site_name", words: (s) => `${s.model}: ${s.site_name}`,
        hint: "The activations are the outputs of the norms in front of the parts of each layer. The occurrences are those of which the norm is a part.",
      }),
    },
    {
      id: "sequences", title: "Sequences", view: tab<Sequence>({
        file: "sequences", rows: "sequences", columns: sequenceColumns, sort: "-occurrences", words: (s) => [s.model, s.dataset, `${s.shard}:${s.row_index}`].join("\n"),
        hint: "The documents that were read, each cut to the length of a sequence, and how many dimensions are outliers in each.",
      }),
    },
    {
      id: "occurrences", title: "Occurrences", view: tab<Occurrence>({
        file: "occurrences", rows: "occurrences", columns: occurrenceColumns, sort: "-max_magnitude", words: (o) => [`${o.model}: ${o.dimension}`, o.dataset, `${o.shard_name}:${o.row_index}`].join("\n"),
        hint: "The dimensions that are outliers of a sequence: the layers and the positions of it at which each reaches the threshold.",
      }),
    },
  ],
};
