// The page of a scaling report: bits per byte over the size of models, with fitted laws.
import { Chart, type Line } from "site/chart";
import type { Column } from "site/columns";
import { familyName, fitName } from "site/family";
import { count, decimal, plural, signed } from "site/format";
import { Loaded } from "site/loaded";
import type { Page, ViewProps } from "site/page";
import { href, param, set } from "site/route";
import { Table } from "site/table";
import { datasets, details, intervalOf, type DatasetRow, type Fit, type Interval, type Measure, type Model, type Summary } from "scaling/data";
import { Documents } from "scaling/documents";
import { Tokens } from "scaling/tokens";

const axis = (s: Summary) => s.x.label || (s.x.of === "active" ? "active parameters" : s.x.of) || "parameters";

/** A model on a dataset or on all. */
interface Point {
  family: string;
  model: string;
  x: number;
  bpb: number | null;
  interval: Interval | null | undefined;
}

/** lines makes a line for each family, of points that are sorted by x, and one for each fit. */
function lines(models: Point[], fits: Fit[]): { x: number[]; lines: Line[] } {
  // Models of a family with the same x are next to each other, as the plot wants a value for each x.
  const columns: { x: number; of: Map<string, Point> }[] = [];
  for (const m of [...models].sort((a, b) => a.x - b.x)) {
    let column = columns.find((c) => c.x === m.x && !c.of.has(m.family));
    if (!column) columns.push((column = { x: m.x, of: new Map() }));
    column.of.set(m.family, m);
  }
  const x = columns.map((c) => c.x);
  const families = [...new Set(models.map((m) => m.family))];
  const all: Line[] = families.map((family) => {
    const points = columns.map((c) => c.of.get(family));
    return {
      name: familyName(family, families), values: points.map((p) => p?.bpb ?? null), labels: points.map((p) => p?.model ?? null),
      // Models without a family have nothing in common if others have one.
      points: fits.some((f) => f.family === family) || (family === "" && families.length > 1),
      low: points.map((p) => p?.interval?.low ?? null), high: points.map((p) => p?.interval?.high ?? null),
    };
  });
  for (const { family, law } of fits) {
    const own = models.filter((m) => m.family === family).map((m) => m.x);
    const [least, most] = [Math.min(...own), Math.max(...own)];
    if (law) all.push({ name: fitName("power law", family), like: families.indexOf(family), values: x.map((v) => (v < least || v > most ? null : law.a.value * Math.pow(v, -law.b.value))), fit: true });
  }
  return { x, lines: all };
}

function Scaling({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => Promise.all([details(entry), datasets(entry)])}>
      {([s, rows]) => {
        const notes = [...(s.warnings ?? []), ...(s.notes ?? [])];
        const chosen = param("dataset");
        const names = [...new Set(rows.map((r) => r.dataset))];
        const known = names.includes(chosen);
        return (
          <>
            {notes.length > 0 && <ul class="warnings">{notes.map((n) => <li>{n}</li>)}</ul>}
            <div class="choose">
              <label><span>Dataset</span>
                <select value={chosen} onChange={(e) => set({ dataset: e.currentTarget.value })}>
                  <option value="">all</option>
                  {chosen && !known && <option value={chosen}>{chosen} (not in this page)</option>}
                  {names.map((d) => <option value={d}>{d}</option>)}
                </select>
              </label>
            </div>
            {chosen === "" ? <Losses of={s} on="" /> : known ? <Losses of={onDataset(s, rows.filter((r) => r.dataset === chosen))} on={chosen} all={s} /> : <p>The dataset {chosen} is not in this page.</p>}
          </>
        );
      }}
    </Loaded>
  );
}

/**
 * onDataset returns the summary of one dataset, whose rows are given. The intervals of changes, the documents on which
 * models differ, and laws are known for all datasets together only.
 */
function onDataset(s: Summary, rows: DatasetRow[]): Summary {
  const of = new Map(rows.map((r) => [r.model, r]));
  const models = s.models.flatMap((m): Model[] => {
    const r = of.get(m.model);
    return r ? [{ ...m, nats: r.nats, bpb: r.bpb, bpbInterval: intervalOf(r), perplexity: { perToken: r.perplexity_per_token, perWord: null, perByte: null } }] : [];
  });
  const [first, last] = [s.gain?.[0], s.gain?.[s.gain.length - 1]].map((name) => models.find((m) => m.model === name)?.bpb);
  const change = first == null || last == null ? null : { bpb: last - first, interval: null };
  return { ...s, models, change, documents: rows[0]!.documents, scoredBytes: rows[0]!.scored_bytes, fits: null };
}

/** Losses shows the losses on a dataset, or on all: then on is "". What is known of all datasets only says so. */
function Losses({ of: s, on, all = s }: { of: Summary; on: string; all?: Summary }) {
  const points = s.models.flatMap((m) => (m.x === null ? [] : [{ family: m.family ?? "", model: m.model, x: m.x, bpb: m.bpb, interval: m.bpbInterval }]));
  const drawn = lines(points, (s.fits ?? []).filter((f) => f.of === "bits per byte"));
  const title = `Bits per byte over ${axis(s)}${on ? " of " + on : ""}${s.models.some((m) => m.bpbInterval) ? ", with 95% intervals" : ""}${drawn.lines.some((l) => l.fit) ? " and fitted power laws" : ""}`;
  return (
    <>
      <p>{count(s.scoredBytes)} bytes of {plural(s.documents, "document")}{on ? ` of ${on}` : ""}.</p>
      <Change of={s} on={on} />
      {on && <Change of={all} on="all datasets" />}
      <Documented of={all} on={on ? "all datasets" : ""} />
      {drawn.x.length > 0 && <Chart title={title} x={{ name: axis(s), values: drawn.x, log: s.x.scale === "log" }} y={{ name: "bits per byte", log: s.x.scale === "log" }} lines={drawn.lines} />}
      {on && <p class="hint">Bits per byte and perplexities of {on}; an interval only where there is enough text.</p>}
      <Table name="models" rows={s.models} columns={columnsOf(s)} sort="x" />
      <Fits fits={s.fits ?? []} />
      {on && (all.fits ?? []).some((f) => f.law !== null) && <p class="hint">The laws are of all datasets: choose "all" to see them.</p>}
    </>
  );
}

/** Change says what the size of the models changes. */
function Change({ of: s, on }: { of: Summary; on: string }) {
  const gain = s.gain ?? [];
  if (!s.change || gain.length < 2) return null;
  return (
    <p>
      {on ? `On ${on}, from` : "From"} <b>{gain[0]}</b> to <b>{gain[gain.length - 1]}</b>, bits per byte change by {signed(s.change.bpb)}{s.change.interval && ` [${signed(s.change.interval.low)}, ${signed(s.change.interval.high)}]`}.
    </p>
  );
}

/** Documented says on how many documents the size of the models changes the loss. */
function Documented({ of: s, on }: { of: Summary; on: string }) {
  const gain = s.gain ?? [];
  const d = s.rankedDocuments;
  if (!s.change || gain.length < 2) return null;
  const many = gain.length > 2 ? ` On ${count(d.monotone)} of them, it falls at each of ${count(gain.length - 1)} steps.` : "";
  return (
    <p>
      Of {plural(d.lower + d.equal + d.higher, "document")} of at least 32 bytes{on && ` in ${on}`}, {count(d.lower)} have a lower loss and {count(d.higher)} a higher one.{many}
    </p>
  );
}

function columnsOf(s: Summary): Column<Model>[] {
  const other = s.models.some((m) => m.x !== m.parameters);
  const sparse = s.x.of !== "active" && s.models.some((m) => m.activeParameters !== m.parameters);
  const families = s.models.some((m) => m.family);
  return columns.filter((c) => (c.key !== "parameters" || other) && (c.key !== "activeParameters" || sparse) && (c.key !== "family" || families)).map((c) => (c.key === "x" ? { ...c, title: axis(s).replace(/^./, (first) => first.toUpperCase()) } : c));
}

const columns: Column<Model>[] = [
  { key: "model", title: "Model", value: (m) => m.model },
  { key: "family", title: "Family", value: (m) => m.family },
  { key: "x", title: "x", number: true, value: (m) => m.x, text: (m) => count(m.x) },
  { key: "parameters", title: "Parameters", number: true, value: (m) => m.parameters, text: (m) => count(m.parameters) },
  { key: "activeParameters", title: "Active", unit: "parameters", number: true, value: (m) => m.activeParameters, text: (m) => count(m.activeParameters) },
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
      <p class="hint">By least squares of the logarithm of the loss. The intervals say nothing about x outside of the values that were fitted.</p>
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

interface PartsProps {
  entry: ViewProps["entry"];
  of: "buckets" | "sentences";
  first: string;
  noun: string;
  /** What n counts. */
  counted: string;
}

function Parts({ entry, of, first, noun, counted }: PartsProps) {
  return (
    <Loaded of={entry.id} load={() => details(entry)}>
      {(s) => {
        const columns: Column<Part>[] = [
          { key: "name", title: first, value: (p) => (/^\d+$/.test(p.name) ? Number(p.name) : p.name), text: (p) => p.name },
          ...s.models.map((m, i): Column<Part> => ({ key: m.model, title: m.model, unit: "bits per byte", number: true, value: (p) => p.bpb[i], text: (p) => decimal(p.bpb[i]) })),
          { key: "parts", title: "n", unit: counted, number: true, value: (p) => p.parts, text: (p) => count(p.parts) },
          { key: "bytes", title: "Bytes", number: true, value: (p) => p.scoredBytes, text: (p) => count(p.scoredBytes) },
        ];
        return <Table name={noun} rows={s[of] ?? []} columns={columns} sort={of === "sentences" ? "" : "-bytes"} bytes={(p) => p.scoredBytes} />;
      }}
    </Loaded>
  );
}

/** A dataset with the rows of all models. */
interface Dataset {
  dataset: string;
  bytes: number;
  of: Map<string, DatasetRow>;
}

function Datasets({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => Promise.all([details(entry), datasets(entry)])}>
      {([s, rows]) => {
        const all = [...new Set(rows.map((r) => r.dataset))].map((dataset): Dataset => {
          const mine = rows.filter((r) => r.dataset === dataset);
          return { dataset, bytes: mine[0]!.scored_bytes, of: new Map(mine.map((r) => [r.model, r])) };
        });
        const gain = s.gain ?? [];
        const change = (d: Dataset) => {
          const [first, last] = [d.of.get(gain[0]!)?.bpb, d.of.get(gain[gain.length - 1]!)?.bpb];
          return first && last != null ? 100 * (last / first - 1) : null;
        };
        const columns: (Column<Dataset> | false)[] = [
          { key: "dataset", title: "Dataset", value: (d) => d.dataset },
          ...s.models.map(({ model }): Column<Dataset> => ({
            key: model, title: model, unit: "bits per byte", number: true, value: (d) => d.of.get(model)?.bpb, text: (d) => decimal(d.of.get(model)?.bpb),
            cell: (d) => { const r = d.of.get(model); const i = r && intervalOf(r); return <>{decimal(r?.bpb)} {i && <small>±{decimal((i.high - i.low) / 2)}</small>}</>; },
          })),
          gain.length > 1 && { key: "change", title: "Change", unit: `% from ${gain[0]} to ${gain[gain.length - 1]}`, number: true, value: change, text: (d) => signed(change(d), 1) },
          ...s.models.map(({ model }): Column<Dataset> => ({ key: model + "_perplexity", title: model, unit: "perplexity per token", number: true, value: (d) => d.of.get(model)?.perplexity_per_token, text: (d) => decimal(d.of.get(model)?.perplexity_per_token, 2) })),
          { key: "bytes", title: "Bytes", number: true, value: (d) => d.bytes, text: (d) => count(d.bytes) },
        ];
        return (
          <>
            <p class="hint">After ± is half of a 95% interval, where there is enough text. A link shows the dataset in the plot.</p>
            <Table name="datasets" rows={all} columns={columns.filter((c) => c !== false)} sort="dataset" bytes={(d) => d.bytes} href={(d) => href(entry.id, { dataset: d.dataset })} />
          </>
        );
      }}
    </Loaded>
  );
}

export const page: Page = {
  tabs: [
    { id: "scaling", title: "Scaling", view: Scaling },
    { id: "datasets", title: "Datasets", view: Datasets },
    { id: "documents", title: "Documents", view: Documents },
    { id: "buckets", title: "Buckets", view: ({ entry }) => <Parts entry={entry} of="buckets" first="Bucket" noun="buckets" counted="segments" /> },
    { id: "sentences", title: "Sentences", view: ({ entry }) => <Parts entry={entry} of="sentences" first="Sentence of the document" noun="positions of sentences" counted="sentences" /> },
    { id: "tokens", title: "Tokens", view: Tokens, needs: "tokens" },
  ],
};
