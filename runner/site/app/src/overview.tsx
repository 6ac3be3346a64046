// The overview: experiments, their models and runs, and what their comparisons found.
import { useEffect } from "preact/hooks";
import { compare } from "site/natural";
import type { Column } from "site/columns";
import { count, interval, plural, signed, sizeOf } from "site/format";
import type { Entry, Experiment, Manifest } from "site/manifest";
import { Bar, extent, sideOf } from "site/bar";
import { href } from "site/route";
import { Link, Table } from "site/table";

/** What a gap's headline says; other kinds have at least a sentence. */
export interface GapHeadline {
  modelA: string;
  modelB: string;
  overall: Row;
  /** How many datasets have each verdict. */
  verdicts?: Record<string, number>;
  worse?: Row[] | null;
  better?: Row[] | null;
}

/** The fields of a gap's row that the overview reads. */
interface Row {
  name: string;
  documents: number;
  bytes: number;
  model_a_bpb: number | null;
  model_b_bpb: number | null;
  gap_bpb: number | null;
  gap_low: number | null;
  gap_high: number | null;
  gap_q: number | null;
  verdict: string;
}

export function Overview({ manifest }: { manifest: Manifest }) {
  useEffect(() => void (document.title = manifest.title || "Surprisal"), []);
  const judged = manifest.entries.filter((e) => answerOf(e)).sort((x, y) => answers.indexOf(answerOf(x)!) - answers.indexOf(answerOf(y)!));
  return (
    <>
      <h1>{manifest.title || "Surprisal"}</h1>
      {published[manifest.text] && <p class="hint">{published[manifest.text]}</p>}
      <Others entries={judged} judged />
      <Comparisons entries={manifest.entries.filter((e) => e.kind === "gap" && !ofGate(manifest, e))} />
      <Others entries={manifest.entries.filter((e) => e.kind !== "gap" && !judged.includes(e))} />
      {manifest.experiments.map((e) => (
        <About experiment={e} />
      ))}
    </>
  );
}

/** The answers of gates, the worst first. */
const answers = ["fail", "inconclusive", "pass"];

/** answerOf returns the answer of a gate, and of what has one. */
const answerOf = (e: Entry) => (e.headline as { answer?: string } | null)?.answer;

/** ofGate says whether a gap is a part of a gate, which its page shows. */
function ofGate(manifest: Manifest, e: Entry): boolean {
  const [kind, ...rest] = e.name.split("/");
  return (kind === "gate" || kind === "gate-confirm") && manifest.entries.some((g) => g.kind === "gate" && g.experiment === e.experiment && g.name === rest.join("/"));
}

/** What a site without all text says of it. */
const published: Partial<Record<Manifest["text"], string>> = {
  none: "This site has numbers only. Its documents were not published, nor anything else that quotes them.",
  sampled: "This site has the text of some documents: those that its pages name, and a few of each dataset.",
};

const headline = (e: Entry) => e.headline as GapHeadline;

function Comparisons({ entries }: { entries: Entry[] }) {
  if (entries.length === 0) return null;
  const scale = extent(entries.map((e) => headline(e).overall));
  const several = new Set(entries.map((e) => e.experiment)).size > 1;
  // The title of a comparison names its models, unless it was given another one.
  const named = entries.every((e) => (e.title || e.name).includes(headline(e).modelA) && (e.title || e.name).includes(headline(e).modelB));
  const all: (Column<Entry> | false)[] = [
    { key: "comparison", title: "Comparison", value: (e) => e.title || e.name },
    several && { key: "experiment", title: "Experiment", value: (e) => e.experiment },
    !named && { key: "model_a", title: "a", value: (e) => headline(e).modelA },
    !named && { key: "model_b", title: "b", value: (e) => headline(e).modelB },
    { key: "gap_bpb", title: "Gap", unit: "bits per byte", number: true, absolute: true, help: "a minus b: positive means that a is worse", value: (e) => headline(e).overall.gap_bpb, text: (e) => signed(headline(e).overall.gap_bpb) },
    { key: "verdict", title: "Verdict", value: (e) => verdict(e), cell: (e) => <span class={sideOf(headline(e).overall) ? "verdict" : "verdict open"}>{verdict(e, short)}</span> },
    { key: "bar", title: "Drawn", drawing: true, value: () => null, cell: (e) => <Bar row={headline(e).overall} scale={scale} /> },
    { key: "gap_low", title: "95% interval", number: true, value: (e) => headline(e).overall.gap_low, text: (e) => interval(headline(e).overall.gap_low, headline(e).overall.gap_high) },
    { key: "worse", title: "Datasets", unit: "a worse", number: true, value: (e) => has(e, "a is worse") },
    { key: "better", title: "Datasets", unit: "a better", number: true, value: (e) => has(e, "b is worse") },
    { key: "open", title: "Datasets", unit: "cannot tell", number: true, value: (e) => has(e, "cannot tell") + has(e, "too small to tell") },
    { key: "bytes", title: "Bytes", number: true, value: (e) => headline(e).overall.bytes, text: (e) => count(headline(e).overall.bytes) },
  ];
  const columns = all.filter((c) => c !== false);
  return (
    <section>
      <h2>Comparisons</h2>
      <Table name="comparisons" rows={entries} columns={columns} sort="comparison" words={(e) => [e.id, e.title, headline(e).modelA, headline(e).modelB, ...(e.tags ?? [])].join("\n")} href={(e) => href(e.id)} />
      <div class="pair">
        <Certain title="Worse beyond doubt" entries={entries} rows={(h) => h.worse} worse />
        <Certain title="Better beyond doubt" entries={entries} rows={(h) => h.better} worse={false} />
      </div>
    </section>
  );
}

const has = (e: Entry, verdict: string) => headline(e).verdicts?.[verdict] ?? 0;

function verdict(e: Entry, name = (model: string) => model): string {
  const { overall, modelA, modelB } = headline(e);
  return overall.verdict.replace(/^([ab]) is/, (_, side) => `${name(side === "a" ? modelA : modelB)} is`);
}

/** short leaves out the middle of a long name: names often differ at their ends. */
const short = (name: string) => (name.length <= 24 ? name : `${name.slice(0, 12)}…${name.slice(-10)}`);

/** How many datasets a list of the overview has. */
const most = 8;

/** Certain lists the datasets whose gaps are not due to chance. */
function Certain({ title, entries, rows, worse }: { title: string; entries: Entry[]; rows: (h: GapHeadline) => Row[] | null | undefined; worse: boolean }) {
  const all = entries.flatMap((e) => (rows(headline(e)) ?? []).map((row) => ({ e, row }))).sort((x, y) => Math.abs(y.row.gap_bpb ?? 0) - Math.abs(x.row.gap_bpb ?? 0));
  return (
    <section>
      <h3>{title}</h3>
      {all.length === 0 ? <p>Nothing.</p> : (
        <ul class="certain">
          {all.slice(0, most).map(({ e, row }) => (
            <li>
              <Link href={href(`${e.id}/documents`, { dataset: row.name, direction: worse ? "behind" : "ahead" })}>{row.name}</Link>
              <span class={worse ? "worse" : "better"}>{signed(row.gap_bpb)}</span>
              <small>{interval(row.gap_low, row.gap_high)} · {headline(e).modelA} against {headline(e).modelB}</small>
            </li>
          ))}
        </ul>
      )}
      {all.length > most && <p class="hint">and {count(all.length - most)} more</p>}
    </section>
  );
}

/** Others lists what is not a comparison: each kind says its result in a sentence. */
function Others({ entries, judged }: { entries: Entry[]; judged?: boolean }) {
  if (entries.length === 0) return null;
  const kinds = [...new Set(entries.map((e) => e.kind))];
  return (
    <div class={judged ? "cards judged" : "cards"}>
      {kinds.map((kind) => (
        <section class="card">
          <h2>{titles[kind] ?? kind}</h2>
          <ul class="certain">
            {entries.filter((e) => e.kind === kind).map((e) => (
              <li>
                <Link href={href(e.id)}>{alike(entries, e) ? e.experiment : e.title || e.name}</Link> <Answer headline={e.headline} />
                {!alike(entries, e) && <small>{e.experiment}</small>}
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}

/** alike says whether a page has the same title in every experiment, such as that of its run. */
const alike = (entries: Entry[], e: Entry) => entries.some((other) => other !== e && other.kind === e.kind && other.title === e.title && other.experiment !== e.experiment);

/** The names of kinds in headings. */
export const titles: Record<string, string> = { drift: "Drift", gap: "Comparison", gate: "Gate", series: "Series", scaling: "Scaling", sliding: "Sliding windows", outliers: "Outliers", scores: "Models", run: "Run" };

function Answer({ headline }: { headline: unknown }) {
  const h = (headline ?? {}) as { answer?: string; sentence?: string; best?: string; maxLogP?: number; memorizedPassages?: number; models?: unknown[]; states?: Record<string, number> };
  const says = [
    h.sentence,
    h.best && `best: ${h.best}`,
    h.maxLogP !== undefined && `largest probability ${Math.exp(h.maxLogP).toPrecision(2)}, memorized passages: ${h.memorizedPassages}`,
    !h.best && h.models && plural(h.models.length, "model"),
    h.states && Object.entries(h.states).map(([state, n]) => `${count(n)} ${state}`).join(", "),
  ].filter(Boolean);
  return (
    <>
      {h.answer && <span class={`answer ${h.answer}`}>{h.answer}</span>} <span>{says.join("; ")}</span>
    </>
  );
}

function About({ experiment }: { experiment: Experiment }) {
  const runs = experiment.runs ?? [];
  const models = [...(experiment.models ?? [])].sort((x, y) => compare(x.name, y.name));
  return (
    <section>
      <h2>Experiment {experiment.name}</h2>
      {experiment.description && <p>{experiment.description}</p>}
      <p>{[plural(models.length, "model"), experiment.datasetCount !== undefined && plural(experiment.datasetCount, "dataset"), plural(runs.length, "run")].filter(Boolean).join(", ")}</p>
      <div class="pair">
        <details open={models.length <= 12}>
          <summary>Models</summary>
          <ul class="plain">{models.map((m) => <li>{m.name}{m.family && <small> {m.family}</small>}{sizeOf(m) && <small> {sizeOf(m)}</small>}</li>)}</ul>
        </details>
        <details open={runs.length <= 5}>
          <summary>Runs</summary>
          <ul class="plain">{runs.map((r) => <li><code>{r.id}</code> <small>{[r.started, r.state].filter(Boolean).join(", ")}</small></li>)}</ul>
        </details>
      </div>
    </section>
  );
}
