// The page of a gate: its answer, and the slices and checks that it follows from.
import type { Column } from "site/columns";
import { Bar, extent } from "site/bar";
import { count, decimal, interval, percent, plural, probability, signed } from "site/format";
import { detectableHelp } from "site/help";
import { json, role } from "site/load";
import { Loaded } from "site/loaded";
import type { Page, ViewProps } from "site/page";
import { href } from "site/route";
import { Link, Name, Table } from "site/table";

interface Slice {
  list: string;
  name: string;
  answer: string;
  reason?: string;
  gapBpb: number | null;
  low: number | null;
  high: number | null;
  margin: number;
  p: number | null;
  adjustedP: number | null;
  units: number;
  bytes: number;
  detectable: number | null;
  confirmation?: Slice | null;
}

interface Measurement {
  on: string;
  what: string;
  answer: string;
  candidate: number | null;
  against: number | null;
  value: number | null;
  low: number | null;
  high: number | null;
  bound: number | null;
  adjustedP: number | null;
}

interface Verdict {
  gate: string;
  candidate: string;
  against: string;
  answer: string;
  strict: boolean;
  confidence: number;
  slices: Slice[] | null;
  tooSmall: unknown[] | null;
  checks: { name: string; answer: string; measurements: Measurement[] | null }[] | null;
  confirmedBy?: string;
  sentence: string;
  warnings?: string[] | null;
}

function Answer({ is }: { is: string }) {
  return <span class={`answer ${is}`}>{is}</span>;
}

/** Gaps links to the gaps that the gate tests. */
function Gaps({ entry, manifest }: ViewProps) {
  const gaps = manifest.entries.filter((e) => e.kind === "gap" && e.experiment === entry.experiment && (e.name === "gate/" + entry.name || e.name === "gate-confirm/" + entry.name));
  if (gaps.length === 0) return null;
  return <p>{gaps.map((g) => <><Link href={href(g.id)}>{g.name.startsWith("gate/") ? "The gap that it tests" : "The gap that confirms it"}: {g.title}</Link> </>)}</p>;
}

function Gate({ entry, manifest }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => json<Verdict>(role(entry, "details"))}>
      {(v) => (
        <>
          <p class="lead"><Answer is={v.answer} />: {v.sentence}.</p>
          {(v.warnings ?? []).length > 0 && <ul class="warnings">{v.warnings!.map((w) => <li>{w}</li>)}</ul>}
          <p class="hint">The gap is {v.candidate} minus {v.against}; positive means that {v.candidate} is worse. An interval is from the lower end of a one-sided interval of {percent(v.confidence, 0)} to the upper end of another, so it is narrower than the two-sided one of the gap's page. A slice passes if the upper end is below its margin. It fails if its p-value, corrected for the number of slices (Holm), is below {Number((1 - v.confidence).toPrecision(2))}.{v.strict ? " An answer that is inconclusive fails the run." : ""}</p>
          <Gaps entry={entry} manifest={manifest} />
          <h2>Slices</h2>
          <Slices slices={v.slices ?? []} confirmed={v.confirmedBy} ends={ends(v)} />
          {(v.tooSmall ?? []).length > 0 && <p>Too small to test: {plural(v.tooSmall!.length, "slice")}.</p>}
          {(v.checks ?? []).map((c) => (
            <section>
              <h2>Check {c.name}: <Answer is={c.answer} /></h2>
              <Table name={`measurements of ${c.name}`} prefix={c.name + "-"} rows={c.measurements ?? []} columns={measured(ends(v))} sort="on" words={(m) => m.on + "\n" + m.what} />
            </section>
          ))}
        </>
      )}
    </Loaded>
  );
}

/** ends says in the heading of an interval what it is. */
const ends = (v: Verdict) => `one-sided ${percent(v.confidence, 0)} ends`;

const endsHelp = "from the lower end of one one-sided interval to the upper end of another";

const measured = (ends: string): Column<Measurement>[] => [
  { key: "on", title: "On", value: (m) => m.on },
  { key: "what", title: "Measure", value: (m) => m.what },
  { key: "answer", title: "Answer", value: (m) => m.answer, cell: (m) => <Answer is={m.answer} /> },
  { key: "value", title: "Value", number: true, value: (m) => m.value, text: (m) => signed(m.value) },
  { key: "low", title: "Interval", unit: ends, help: endsHelp, number: true, value: (m) => m.low, text: (m) => interval(m.low, m.high) },
  { key: "bound", title: "Bound", number: true, value: (m) => m.bound, text: (m) => decimal(m.bound) },
  { key: "candidate", title: "Candidate", number: true, value: (m) => m.candidate, text: (m) => decimal(m.candidate) },
  { key: "against", title: "Against", number: true, value: (m) => m.against, text: (m) => decimal(m.against) },
  { key: "adjustedP", title: "p", unit: "adjusted", number: true, value: (m) => m.adjustedP, text: (m) => probability(m.adjustedP) },
];

function Slices({ slices, confirmed, ends }: { slices: Slice[]; confirmed: string | undefined; ends: string }) {
  const bar = (s: Slice) => ({ gap_bpb: s.gapBpb, gap_low: s.low, gap_high: s.high });
  const scale = extent(slices.map(bar));
  const columns: Column<Slice>[] = [
    { key: "name", title: "Slice", value: (s) => s.name, cell: (s) => <><Name of={s.name} /> {s.list !== s.name && <small>{s.list}</small>}</> },
    { key: "answer", title: "Answer", value: (s) => s.answer, cell: (s) => <Answer is={s.answer} /> },
    { key: "gap", title: "Gap", unit: "bits per byte", number: true, value: (s) => s.gapBpb, text: (s) => signed(s.gapBpb) },
    { key: "bar", title: "Drawn", drawing: true, value: () => null, cell: (s) => <Bar row={bar(s)} scale={scale} /> },
    { key: "low", title: "Interval", unit: ends, help: endsHelp, number: true, value: (s) => s.low, text: (s) => interval(s.low, s.high) },
    { key: "margin", title: "Margin", number: true, value: (s) => s.margin, text: (s) => decimal(s.margin) },
    { key: "adjustedP", title: "p", unit: "adjusted", number: true, value: (s) => s.adjustedP, text: (s) => probability(s.adjustedP) },
    { key: "units", title: "n", unit: "documents", number: true, value: (s) => s.units, text: (s) => count(s.units) },
    { key: "bytes", title: "Bytes", number: true, value: (s) => s.bytes, text: (s) => count(s.bytes) },
    { key: "detectable", title: "Detectable", unit: "gap", number: true, help: detectableHelp, value: (s) => s.detectable, text: (s) => decimal(s.detectable) },
  ];
  if (confirmed) columns.push({ key: "confirmation", title: "Confirmation", unit: confirmed, value: (s) => s.confirmation?.answer, text: (s) => (s.confirmation ? `${s.confirmation.answer}, ${signed(s.confirmation.gapBpb)}` : "–") });
  return <Table name="slices" rows={slices} columns={columns} sort="-gap" bytes={(s) => s.bytes} words={(s) => s.name + "\n" + s.list} />;
}

export const page: Page = { tabs: [{ id: "gate", title: "Gate", view: Gate }] };
