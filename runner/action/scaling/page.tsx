// The page of a scaling report: bits per byte over the size of models, with fitted laws.
import { Chart, type Line } from "site/chart";
import type { Column } from "site/columns";
import { count, decimal, plural } from "site/format";
import { json, once, role } from "site/load";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import type { Page, ViewProps } from "site/page";
import { open } from "site/parquet";
import { param, set } from "site/route";
import { Table } from "site/table";

interface Measure {
  value: number;
  low: number;
  high: number;
}

interface Interval {
  low: number;
  high: number;
}

interface Fit {
  family: string;
  of: string;
  law: { a: Measure; b: Measure; factorPerTenfold: Measure; deviationOfLog: number } | null;
}

interface Model {
  model: string;
  family?: string;
  x: number | null;
  parameters: number | null;
  flopsPerToken: number | null;
  nats: number;
  bpb: number | null;
  bpbInterval?: Interval | null;
  /** In the order of the table of datasets. */
  bpbIntervalByDataset?: (Interval | null)[] | null;
  perplexity: { perToken: number | null; perWord: number | null; perByte: number | null };
}

interface Summary {
  x: { of: string; label?: string; scale: string };
  models: Model[];
  documents: number;
  scoredBytes: number;
  fits: Fit[] | null;
  notes?: string[] | null;
  warnings?: string[] | null;
  buckets?: { name: string; parts: number; scoredBytes: number; bpb: (number | null)[] }[] | null;
  sentences?: { name: string; parts: number; scoredBytes: number; bpb: (number | null)[] }[] | null;
}

interface DatasetRow {
  dataset: string;
  model: string;
  x: number | null;
  bpb: number | null;
  scored_bytes: number;
}

const details = (entry: Entry) => json<Summary>(role(entry, "details"));
const datasets = (entry: Entry) => once("datasets of " + entry.id, async () => (await (await open(role(entry, "datasets").path)).read({})) as unknown as DatasetRow[]);

const axis = (s: Summary) => s.x.label || s.x.of || "parameters";

/** A model on a dataset or on all. */
interface Point {
  family: string;
  x: number;
  bpb: number | null;
  interval: Interval | null | undefined;
}

/** lines makes a line for each family, of points that are sorted by x, and one for each fit. */
function lines(models: Point[], fits: Fit[]): { x: number[]; lines: Line[] } {
  const x = [...new Set(models.map((m) => m.x))].sort((a, b) => a - b);
  const families = [...new Set(models.map((m) => m.family))];
  const all: Line[] = families.map((family) => {
    const points = x.map((v) => models.find((m) => m.family === family && m.x === v));
    return {
      name: family || "models", values: points.map((p) => p?.bpb ?? null), points: fits.some((f) => f.family === family),
      low: points.map((p) => p?.interval?.low ?? null), high: points.map((p) => p?.interval?.high ?? null),
    };
  });
  for (const fit of fits) if (fit.law) all.push({ name: `${fit.family || "models"}: law`, values: x.map((v) => fit.law!.a.value * Math.pow(v, -fit.law!.b.value)), fit: true });
  return { x, lines: all };
}

function Scaling({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => Promise.all([details(entry), datasets(entry)])}>
      {([s, rows]) => {
        const notes = [...(s.warnings ?? []), ...(s.notes ?? [])];
        const chosen = param("dataset");
        const family = new Map(s.models.map((m) => [m.model, m.family ?? ""]));
        const of = chosen ? rows.filter((r) => r.dataset === chosen) : s.models;
        const models = new Map(s.models.map((m) => [m.model, m]));
        const names = [...new Set(rows.map((r) => r.dataset))];
        const at = names.indexOf(chosen);
        const intervalOf = (model: string) => (chosen ? models.get(model)?.bpbIntervalByDataset?.[at] : models.get(model)?.bpbInterval);
        const drawn = lines(of.flatMap((m) => (m.x === null ? [] : [{ family: family.get(m.model) ?? "", x: m.x, bpb: m.bpb, interval: intervalOf(m.model) }])), chosen ? [] : (s.fits ?? []).filter((f) => f.of === "bits per byte"));
        return (
          <>
            {notes.length > 0 && <ul class="warnings">{notes.map((n) => <li>{n}</li>)}</ul>}
            <div class="choose">
              <label><span>Dataset</span>
                <select value={chosen} onChange={(e) => set({ dataset: e.currentTarget.value })}>
                  <option value="">all</option>
                  {names.map((d) => <option value={d}>{d}</option>)}
                </select>
              </label>
              <span>{count(s.scoredBytes)} bytes of {plural(s.documents, "document")}</span>
            </div>
            {drawn.x.length > 0 && <Chart title={`Bits per byte over ${axis(s)}${chosen ? " of " + chosen : ""}, with 95% intervals${drawn.lines.some((l) => l.fit) ? " and fitted laws" : ""}`} x={{ name: axis(s), values: drawn.x, log: s.x.scale === "log" }} y={{ name: "bits per byte", log: s.x.scale === "log" }} lines={drawn.lines} />}
            <Table name="models" rows={s.models} columns={columnsOf(s)} sort="x" />
            <Fits fits={s.fits ?? []} />
          </>
        );
      }}
    </Loaded>
  );
}

function columnsOf(s: Summary): Column<Model>[] {
  const other = s.models.some((m) => m.x !== m.parameters);
  const families = s.models.some((m) => m.family);
  return columns.filter((c) => (c.key !== "parameters" || other) && (c.key !== "family" || families)).map((c) => (c.key === "x" ? { ...c, title: axis(s).replace(/^./, (first) => first.toUpperCase()) } : c));
}

const columns: Column<Model>[] = [
  { key: "model", title: "Model", value: (m) => m.model },
  { key: "family", title: "Family", value: (m) => m.family },
  { key: "x", title: "x", number: true, value: (m) => m.x, text: (m) => count(m.x) },
  { key: "parameters", title: "Parameters", number: true, value: (m) => m.parameters, text: (m) => count(m.parameters) },
  { key: "bpb", title: "Bits per byte", number: true, value: (m) => m.bpb, text: (m) => decimal(m.bpb) },
  { key: "bpb_low", title: "95% interval", number: true, value: (m) => m.bpbInterval?.low, text: (m) => (m.bpbInterval ? `[${decimal(m.bpbInterval.low)}, ${decimal(m.bpbInterval.high)}]` : "–") },
  { key: "perplexity", title: "Perplexity", unit: "per token", number: true, value: (m) => m.perplexity.perToken, text: (m) => decimal(m.perplexity.perToken, 2) },
  { key: "flopsPerToken", title: "FLOPs", unit: "per token", number: true, value: (m) => m.flopsPerToken, text: (m) => (m.flopsPerToken === null ? "–" : m.flopsPerToken.toExponential(2)) },
];

function Fits({ fits }: { fits: Fit[] }) {
  const fitted = fits.filter((f) => f.law !== null);
  if (fitted.length === 0) return null;
  const measure = (key: string, title: string, of: (f: Fit) => Measure): Column<Fit> => ({ key, title, number: true, value: (f) => of(f).value, text: (f) => `${decimal(of(f).value)} [${decimal(of(f).low)}, ${decimal(of(f).high)}]` });
  const columns: Column<Fit>[] = [
    { key: "family", title: "Family", value: (f) => f.family },
    { key: "of", title: "Of", value: (f) => f.of },
    measure("a", "a", (f) => f.law!.a),
    measure("b", "b", (f) => f.law!.b),
    measure("factor", "Factor per tenfold x", (f) => f.law!.factorPerTenfold),
    { key: "deviation", title: "Deviation", unit: "of the log", number: true, value: (f) => f.law!.deviationOfLog, text: (f) => decimal(f.law!.deviationOfLog) },
  ];
  return (
    <>
      <h2>Laws a x⁻ᵇ, with 95% intervals</h2>
      <Table name="laws" prefix="law-" rows={fitted} columns={columns} sort="of" />
    </>
  );
}

interface Part {
  name: string;
  parts: number;
  scoredBytes: number;
  bpb: (number | null)[];
}

function Parts({ entry, of, first, noun }: { entry: Entry; of: "buckets" | "sentences"; first: string; noun: string }) {
  return (
    <Loaded of={entry.id} load={() => details(entry)}>
      {(s) => {
        const columns: Column<Part>[] = [
          { key: "name", title: first, value: (p) => (/^\d+$/.test(p.name) ? Number(p.name) : p.name), text: (p) => p.name },
          ...s.models.map((m, i): Column<Part> => ({ key: m.model, title: m.model, unit: "bits per byte", number: true, value: (p) => p.bpb[i], text: (p) => decimal(p.bpb[i]) })),
          { key: "parts", title: "n", number: true, value: (p) => p.parts, text: (p) => count(p.parts) },
          { key: "bytes", title: "Bytes", number: true, value: (p) => p.scoredBytes, text: (p) => count(p.scoredBytes) },
        ];
        return <Table name={noun} rows={s[of] ?? []} columns={columns} sort={of === "sentences" ? "" : "-bytes"} bytes={(p) => p.scoredBytes} />;
      }}
    </Loaded>
  );
}

export const page: Page = {
  tabs: [
    { id: "scaling", title: "Scaling", view: Scaling },
    { id: "buckets", title: "Buckets", view: ({ entry }) => <Parts entry={entry} of="buckets" first="Bucket" noun="buckets" /> },
    { id: "sentences", title: "Sentences", view: ({ entry }) => <Parts entry={entry} of="sentences" first="Sentence of the document" noun="positions of sentences" /> },
  ],
};
