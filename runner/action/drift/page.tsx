// The page of a drift: what changed between two texts and their models, and what explains it.
import { Bar, extent } from "site/bar";
import type { Column } from "site/columns";
import { count, decimal, interval, probability, signed } from "site/format";
import { detectableHelp } from "site/help";
import { json, role } from "site/load";
import { Loaded } from "site/loaded";
import type { Page, ViewProps } from "site/page";
import { Table } from "site/table";

/** A value; it has no interval if too few documents determine one. */
interface Value {
  value: number;
  low: number | null;
  high: number | null;
}

interface Change {
  change: number;
  low?: number;
  high?: number;
  p?: number;
  adjustedP?: number;
  q?: number;
  detectable?: number;
  verdict: string;
  neededUnits?: number;
}

interface Part extends Change {
  name: string;
  given?: string;
}

interface Measure extends Change {
  name: string;
  model: string;
  of: string;
  reference: Value;
  current: Value;
  referenceSize: number;
  currentSize: number;
}

interface Dataset {
  name: string;
  documents: number;
  units: number;
  scoredBytes: number;
  bpb: Value[];
  difference: Value | null;
}

interface Side {
  model: string;
  documents: number;
  units: number;
  scoredBytes: number;
  bpb: Value;
  datasets: Dataset[];
}

interface Case {
  part: string;
  answer: string;
  low: number | null;
  high: number | null;
  adjustedP: number | null;
}

interface Drift {
  reference: Side;
  current: Side;
  parts: Part[];
  orders: Part[];
  measures: Measure[];
  notes: string[] | null;
  computedDifferences: string[] | null;
  noiseBpb: number;
  gate?: { answer: string; margin: number; confidence: number; cases: Case[] };
  sentence: string;
}

function Drift({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => json<Drift>(role(entry, "details"))}>
      {(d) => (
        <>
          <p class="lead">{sentence(d)}.</p>
          <Notes of={d} />
          {d.gate && <Gate gate={d.gate} />}
          <h2>Parts of the change</h2>
          <p class="hint">
            A change is that of bits per byte from the reference to the current side: positive means that the current one needs more. The p-values are corrected for the number of parts (Holm).
            {d.orders.length > 0 && " Each part is the mean over both orders in which text and model may change (Shapley values). The interaction is by how much the models differ more on the current text than on the reference; each part has one half of it."}
          </p>
          <Table name="parts" prefix="part-" rows={d.parts} columns={partColumns(d.parts)} sort="" />
          {d.orders.length > 0 && (
            <>
              <h2>Both orders</h2>
              <Table name="orders" prefix="order-" rows={d.orders} columns={orderColumns(d.orders)} sort="" />
            </>
          )}
          <h2>Measures of the texts</h2>
          <p class="hint">Each row compares the two texts under one model. Tokens per byte depend on the text and the tokenizer only, and not on the weights: a change of them is one of the text.</p>
          <Table name="measures" prefix="measure-" rows={d.measures} columns={measureColumns} sort="" words={(m) => m.name + "\n" + m.model} />
          <h2>Texts</h2>
          <Table name="datasets" prefix="dataset-" rows={sides(d)} columns={datasetColumns(d)} sort="" bytes={(r) => r.scoredBytes} words={(r) => r.side + "\n" + r.name} />
        </>
      )}
    </Loaded>
  );
}

/** sentence starts what the report says with a capital letter, unless that is the name of a model. */
const sentence = (d: Drift) => (d.sentence.startsWith(d.current.model) ? d.sentence : d.sentence.replace(/^./, (first) => first.toUpperCase()));

function Notes({ of: d }: { of: Drift }) {
  const lines = [...(d.notes ?? []).map((n) => n + "."), ...(d.computedDifferences ?? []).map((n) => `What computed the scores differs: ${n}`)];
  if (d.noiseBpb > 0) lines.push(`When documents were scored again in a different batch, bits per byte changed by at most ${d.noiseBpb.toPrecision(2)} of two scores together. A smaller change is not evidence.`);
  return lines.length === 0 ? null : <ul class="warnings">{lines.map((line) => <li>{line}</li>)}</ul>;
}

function Answer({ is }: { is: string }) {
  return <span class={`answer ${is}`}>{is}</span>;
}

function Gate({ gate }: { gate: NonNullable<Drift["gate"]> }) {
  const columns: Column<Case>[] = [
    { key: "part", title: "Part", value: (c) => c.part },
    { key: "answer", title: "Answer", value: (c) => c.answer, cell: (c) => <Answer is={c.answer} /> },
    { key: "low", title: "Interval", unit: `one-sided ${100 * gate.confidence}% ends`, help: "from the lower end of one one-sided interval to the upper end of another", number: true, value: (c) => c.low, text: (c) => interval(c.low, c.high) },
    { key: "margin", title: "Margin", number: true, value: () => gate.margin, text: () => decimal(gate.margin) },
    { key: "adjustedP", title: "p", unit: "adjusted", number: true, value: (c) => c.adjustedP, text: (c) => probability(c.adjustedP) },
  ];
  return (
    <>
      <h2>Gate: <Answer is={gate.answer} /></h2>
      <p class="hint">A part passes if the upper end of its interval is below the margin. It fails if its p-value, corrected for the number of parts (Holm), is below {Number((1 - gate.confidence).toPrecision(2))}.</p>
      <Table name="parts of the gate" prefix="gate-" rows={gate.cases} columns={columns} sort="" />
    </>
  );
}

/** certain says whether there is a change beyond doubt. */
const certain = (c: Change) => c.verdict === "higher" || c.verdict === "lower";

function Signed({ of: c }: { of: Change }) {
  return <span class={!certain(c) ? undefined : c.change > 0 ? "worse" : "better"}>{signed(c.change)}</span>;
}

/** changeColumns are those of a change, with its bar on the scale of all rows. */
function changeColumns<T extends Change>(rows: T[]): Column<T>[] {
  const bar = (c: Change) => ({ gap_bpb: c.change, gap_low: c.low ?? null, gap_high: c.high ?? null });
  const scale = extent(rows.map(bar));
  return [
    { key: "change", title: "Change", unit: "bits per byte", number: true, absolute: true, value: (c) => c.change, text: (c) => signed(c.change), cell: (c) => <Signed of={c} /> },
    { key: "bar", title: "Drawn", drawing: true, value: () => null, cell: (c) => <Bar row={bar(c)} scale={scale} /> },
    { key: "low", title: "95% interval", number: true, value: (c) => c.low, text: (c) => interval(c.low, c.high) },
    { key: "verdict", title: "Answer", value: (c) => c.verdict },
  ];
}

function partColumns(parts: Part[]): Column<Part>[] {
  return [
    { key: "name", title: "Part", value: (p) => p.name },
    ...changeColumns(parts),
    { key: "adjustedP", title: "p", unit: "adjusted", number: true, value: (p) => p.adjustedP, text: (p) => probability(p.adjustedP) },
    { key: "detectable", title: "Detectable", unit: "change", number: true, help: detectableHelp, value: (p) => p.detectable, text: (p) => decimal(p.detectable) },
    { key: "neededUnits", title: "Needed", unit: "units on each side", number: true, help: "how many documents or clusters like these on each side would show a change of this size in four of five samples, with the correction", value: (p) => p.neededUnits, text: (p) => count(p.neededUnits) },
  ];
}

function orderColumns(orders: Part[]): Column<Part>[] {
  return [
    { key: "name", title: "Part", value: (p) => p.name, text: (p) => `${p.name}, given the ${p.given} ${p.name === "text" ? "model" : "text"}` },
    ...changeColumns(orders),
    { key: "p", title: "p", number: true, value: (p) => p.p, text: (p) => probability(p.p) },
  ];
}

const written = (v: Value) => (v.low === null || v.low === undefined ? decimal(v.value) : `${decimal(v.value)} [${decimal(v.low)}, ${decimal(v.high)}]`);

const measureColumns: Column<Measure>[] = [
  { key: "name", title: "Measure", value: (m) => m.name },
  { key: "model", title: "Model", value: (m) => m.model },
  { key: "reference", title: "Reference", unit: "95% interval", number: true, value: (m) => m.reference.value, text: (m) => written(m.reference) },
  { key: "current", title: "Current", unit: "95% interval", number: true, value: (m) => m.current.value, text: (m) => written(m.current) },
  { key: "change", title: "Change", number: true, absolute: true, value: (m) => m.change, text: (m) => signed(m.change), cell: (m) => <Signed of={m} /> },
  { key: "low", title: "95% interval", unit: "of the change", number: true, value: (m) => m.low, text: (m) => interval(m.low, m.high) },
  { key: "verdict", title: "Answer", value: (m) => m.verdict },
  { key: "q", title: "q", number: true, help: "the rate of wrong answers among the measures if this one and all with a smaller q get one (Benjamini and Hochberg)", value: (m) => m.q, text: (m) => probability(m.q) },
  { key: "detectable", title: "Detectable", unit: "change", number: true, help: detectableHelp, value: (m) => m.detectable, text: (m) => decimal(m.detectable) },
  { key: "referenceSize", title: "Of", unit: "reference", number: true, value: (m) => m.referenceSize, text: (m) => `${count(m.referenceSize)} ${m.of}` },
  { key: "currentSize", title: "Of", unit: "current", number: true, value: (m) => m.currentSize, text: (m) => `${count(m.currentSize)} ${m.of}` },
];

type Row = Omit<Dataset, "bpb"> & { side: string; bpb: Value | undefined };

/** sides lists both sides, each followed by its datasets if there are several. */
function sides(d: Drift): Row[] {
  return [{ side: "reference", of: d.reference }, { side: "current", of: d.current }].flatMap(({ side, of }) => [
    ...(of.datasets.length === 1 ? [] : [{ side, name: "all datasets", documents: of.documents, units: of.units, scoredBytes: of.scoredBytes, bpb: side === "current" ? of.bpb : undefined, difference: null }]),
    ...of.datasets.map((x) => ({ ...x, side, bpb: x.bpb[x.bpb.length - 1] })),
  ]);
}

function datasetColumns(d: Drift): Column<Row>[] {
  const columns: (Column<Row> | false)[] = [
    { key: "name", title: "Dataset", value: (r) => r.name },
    { key: "side", title: "Side", value: (r) => r.side },
    { key: "bpb", title: d.current.model, unit: "bits per byte", number: true, value: (r) => r.bpb?.value, text: (r) => (r.bpb ? written(r.bpb) : "–") },
    d.reference.model !== d.current.model && { key: "difference", title: "Difference", unit: `to ${d.reference.model}`, help: `${d.current.model} minus ${d.reference.model} on the same documents`, number: true, value: (r) => r.difference?.value, text: (r) => (r.difference ? `${signed(r.difference.value)} ${interval(r.difference.low, r.difference.high)}` : "–") },
    { key: "documents", title: "n", unit: "documents", number: true, value: (r) => r.documents, text: (r) => count(r.documents) },
    { key: "scoredBytes", title: "Bytes", unit: "scored", number: true, value: (r) => r.scoredBytes, text: (r) => count(r.scoredBytes) },
  ];
  return columns.filter((c) => c !== false);
}

export const page: Page = {
  subtitle: (entry) => {
    const h = entry.headline as { reference: string; current: string };
    return h.reference === h.current ? <>Two texts under <b>{h.current}</b>.</> : <>From the reference text under <b>{h.reference}</b> to the current text under <b>{h.current}</b>.</>;
  },
  tabs: [{ id: "drift", title: "Drift", view: Drift }],
};
