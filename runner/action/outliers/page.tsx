// The page of outliers: dimensions of a model with extreme activations.
import { Chart, type Line } from "site/chart";
import type { Column } from "site/columns";
import { count, decimal } from "site/format";
import { json, once, role } from "site/load";
import { Loaded } from "site/loaded";
import type { Page, ViewProps } from "site/page";
import { open } from "site/parquet";
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
  largest: { magnitude: number; site: string; ratioToMedian: number | null } | null;
}

interface Summary {
  datasets: string[];
  definition: { sequences: number; sequenceLength: number; threshold: number; layerShare: number; sequenceShare: number };
  models: Row[] | null;
  fits: { family: string; of: string; curve: { a: { value: number }; b: { value: number } } }[] | null;
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
            <Plot rows={s.models ?? []} />
            <Table name="models" rows={s.models ?? []} columns={columns} sort="perplexity" />
          </>
        );
      }}
    </Loaded>
  );
}

function Plot({ rows }: { rows: Row[] }) {
  const measure = measures.find((m) => m.key === param("measure")) ?? measures[4]!;
  const points = rows.filter((r) => r.perplexity !== null && measure.value(r) !== null);
  const x = [...new Set(points.map((r) => r.perplexity!))].sort((a, b) => a - b);
  const lines: Line[] = [...new Set(points.map((r) => r.family))].map((family) => ({
    name: family || "models", points: true, values: x.map((v) => { const r = points.find((p) => p.family === family && p.perplexity === v); return r ? measure.value(r) : null; }),
  }));
  return (
    <>
      <div class="choose">
        <label><span>Measure</span>
          <select value={measure.key} onChange={(e) => set({ measure: e.currentTarget.value })}>{measures.map((m) => <option value={m.key}>{m.title}</option>)}</select>
        </label>
      </div>
      {x.length > 0 ? <Chart title={`${measure.title} by perplexity`} x={{ name: "perplexity per token", values: x }} y={{ name: measure.title }} lines={lines} /> : <p>No model has both a perplexity and this measure.</p>}
    </>
  );
}

const columns: Column<Row>[] = [
  { key: "model", title: "Model", value: (r) => r.model },
  { key: "family", title: "Family", value: (r) => r.family },
  { key: "parameters", title: "Parameters", number: true, value: (r) => r.parameters, text: (r) => count(r.parameters) },
  { key: "perplexity", title: "Perplexity", unit: "per token", number: true, value: (r) => r.perplexity, text: (r) => decimal(r.perplexity, 2) },
  { key: "bpb", title: "Bits per byte", number: true, value: (r) => r.bpb, text: (r) => decimal(r.bpb) },
  { key: "dimensions", title: "Outlier dimensions", number: true, value: (r) => r.dimensions, text: (r) => `${count(r.dimensions)} of ${count(r.hiddenSize)}` },
  { key: "occurrences", title: "Occurrences", number: true, value: (r) => r.occurrences, text: (r) => count(r.occurrences) },
  ...measures.slice(0, 4).map((m): Column<Row> => ({ key: m.key, title: m.title.replace(/, %$/, ""), unit: "%", number: true, value: m.value, text: (r) => decimal(m.value(r), 1) })),
  { key: "largest", title: "Largest", unit: "magnitude", number: true, value: (r) => r.largest?.magnitude, text: (r) => decimal(r.largest?.magnitude, 1) },
  { key: "site", title: "At", value: (r) => r.largest?.site },
  { key: "sequences", title: "Sequences", number: true, value: (r) => r.sequences, text: (r) => count(r.sequences) },
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
  { key: "dimension", title: "Dimension", value: (d) => d.dimension, text: (d) => `${d.model}: ${d.dimension}` },
  { key: "occurrences", title: "Occurrences", number: true, value: (d) => d.occurrences, text: (d) => count(d.occurrences) },
  { key: "mean_layer_pct", title: "Layers", unit: "%, mean", number: true, value: (d) => d.mean_layer_pct, text: (d) => decimal(d.mean_layer_pct, 1) },
  { key: "mean_seq_pct", title: "Positions", unit: "%, mean", number: true, value: (d) => d.mean_seq_pct, text: (d) => decimal(d.mean_seq_pct, 1) },
  { key: "max_magnitude", title: "Largest", unit: "magnitude", number: true, value: (d) => d.max_magnitude, text: (d) => decimal(d.max_magnitude, 1) },
  { key: "layers_affected", title: "Sites", number: true, value: (d) => d.layers_affected, text: (d) => count(d.layers_affected) },
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
  { key: "site", title: "Site", value: (s) => s.site, text: (s) => `${s.model}: ${s.site_name}` },
  { key: "max_magnitude", title: "Largest", unit: "magnitude", number: true, value: (s) => s.max_magnitude, text: (s) => decimal(s.max_magnitude, 2) },
  { key: "mean_median_magnitude", title: "Median", unit: "magnitude, mean", number: true, value: (s) => s.mean_median_magnitude, text: (s) => decimal(s.mean_median_magnitude, 3) },
  { key: "occurrences", title: "Occurrences", number: true, value: (s) => s.occurrences, text: (s) => count(s.occurrences) },
];

/** Whole shows a table of the entry as it is. */
function Whole<T extends { model: string }>({ entry, name, noun, columns, sort }: ViewProps & { name: string; noun: string; columns: Column<T>[]; sort: string }) {
  const load = () => {
    const file = role(entry, name);
    return once("all of " + file.path, async () => (await (await open(file.path, file.bytes)).read({})) as unknown as T[]);
  };
  return <Loaded of={entry.id + name} load={load}>{(rows) => <Table name={noun} rows={rows} columns={columns} sort={sort} />}</Loaded>;
}

export const page: Page = {
  tabs: [
    { id: "models", title: "Models", view: Outliers },
    { id: "dimensions", title: "Dimensions", view: (props) => <Whole {...props} name="dimensions" noun="dimensions" columns={dimensionColumns} sort="-occurrences" /> },
    { id: "sites", title: "Sites", view: (props) => <Whole {...props} name="sites" noun="sites" columns={siteColumns} sort="site" /> },
  ],
};
