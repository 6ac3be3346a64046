// The summary of a gap: its figures, and what is certain.
import { Bar, extent } from "site/bar";
import { bits, count, decimal, interval, percent, plural, probability, signed } from "site/format";
import { Loaded } from "site/loaded";
import { Figure, type ViewProps } from "site/page";
import { href } from "site/route";
import { Link } from "site/table";
import { datasets, details, type Dataset, type Details, type Distribution } from "gap/data";
import { from, nounOf, Units } from "gap/units";
import type { Entry } from "site/manifest";

export function Summary({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => Promise.all([details(entry), datasets(entry)])}>
      {([d, all]) => (
        <>
          <Verdict details={d} />
          <Warnings details={d} />
          <Figures details={d} />
          {d.overall.detectable_gap != null && <p class="hint">A gap of {decimal(d.overall.detectable_gap)} bits per byte is detectable: a one-sided test at 5% shows it in four of five samples of such {nounOf(d)}s.</p>}
          <Units details={d} />
          <div class="pair">
            <Certain entry={entry} title={`${d.modelA} is worse beyond doubt`} rows={all.filter((r) => r.verdict === "a is worse")} />
            <Certain entry={entry} title={`${d.modelB} is worse beyond doubt`} rows={all.filter((r) => r.verdict === "b is worse")} />
          </div>
          {d.document_distribution && <Spread details={d} spread={d.document_distribution} />}
        </>
      )}
    </Loaded>
  );
}

/** Verdict says in a sentence what the numbers show. */
function Verdict({ details: d }: { details: Details }) {
  const o = d.overall;
  if (o.gap_bpb === null || o.model_a_bpb === null || o.model_b_bpb === null) return <p class="lead">No byte was scored on both sides.</p>;
  if (o.gap_bpb === 0) return <p class="lead">Both models need {decimal(o.model_a_bpb)} bits per byte.</p>;
  const [worse, than, least] = o.gap_bpb > 0 ? [d.modelA, d.modelB, o.model_b_bpb] : [d.modelB, d.modelA, o.model_a_bpb];
  const sure = o.verdict === "a is worse" || o.verdict === "b is worse" ? "" : ", which may be chance";
  return (
    <p class="lead">
      <b>{worse}</b> needs {decimal(Math.abs(o.gap_bpb))} bits per byte more than <b>{than}</b> ({percent(Math.abs(o.gap_bpb) / least, 2)}){sure}: over {count(o.bytes)} bytes of {plural(o.documents, "document")}.
    </p>
  );
}

function Warnings({ details: d }: { details: Details }) {
  // The list of units tells of few clusters.
  const lines = [...(d.warnings ?? []), ...(d.notes ?? [])].filter((line) => !line.startsWith("The units of dataset "));
  for (const field of d.scoringProtocols?.differences ?? []) lines.push(`The scoring protocols differ in ${field}: part of the gap is due to it.`);
  for (const field of d.computedDifferences ?? []) lines.push(`What computed the scores differs: ${field}.`);
  if (d.unscoredBytes && d.unscoredBytes.either > 0) lines.push(`${plural(d.unscoredBytes.either, "byte")} without a loss on a side count for neither model.`);
  if (d.zeroLossBytes && d.zeroLossBytes.either > 0) lines.push(`${plural(d.zeroLossBytes.either, "byte")} have a loss of exactly zero on a side.`);
  if (lines.length === 0) return null;
  return <ul class="warnings">{lines.map((line) => <li>{line}</li>)}</ul>;
}

function Figures({ details: d }: { details: Details }) {
  const o = d.overall;
  return (
    <dl class="figures">
      <Figure title="Gap, bits per byte" value={signed(o.gap_bpb)} note={<>95% interval {interval(o.gap_low, o.gap_high)} {from(d)}</>} />
      <Figure title={`a: ${d.modelA}`} value={decimal(o.model_a_bpb)} note="bits per byte" />
      <Figure title={`b: ${d.modelB}`} value={decimal(o.model_b_bpb)} note="bits per byte" />
      <Figure title="Difference" value={bits(o.delta_bits)} note="bits in total" />
      <Figure title="Text" value={count(o.bytes)} note={`bytes of ${plural(o.documents, "document")}`} />
      <Figure title="p of no gap" value={probability(o.gap_p)} note="of a two-sided test" />
    </dl>
  );
}

function Certain({ entry, title, rows }: { entry: Entry; title: string; rows: Dataset[] }) {
  const top = [...rows].sort((x, y) => Math.abs(y.delta_bits) - Math.abs(x.delta_bits)).slice(0, 8);
  const scale = extent(top);
  return (
    <section>
      <h2>{title}</h2>
      {top.length === 0 ? <p>On no dataset.</p> : (
        <ul class="certain">
          {top.map((row) => (
            <li>
              <Link href={href(`${entry.id}/documents`, { dataset: row.name, direction: row.delta_bits > 0 ? "behind" : "ahead" })}>{row.name}</Link>
              <Bar row={row} scale={scale} />
              <span class={row.delta_bits > 0 ? "worse" : "better"}>{signed(row.gap_bpb)}</span>
              <small>{interval(row.gap_low, row.gap_high)}, {count(row.bytes)} bytes</small>
            </li>
          ))}
        </ul>
      )}
      {rows.length > top.length && <p><Link href={href(`${entry.id}/datasets`)}>All {count(rows.length)} datasets</Link></p>}
    </section>
  );
}

function Spread({ details: d, spread: s }: { details: Details; spread: Distribution }) {
  const t = s.top_percent;
  return (
    <section>
      <h2>How the gap is spread over documents</h2>
      <dl class="figures">
        <Figure title={`${d.modelA} is better`} value={percent(s.model_a_better.share)} note={`${plural(s.model_a_better.documents, "document")}, ${percent(s.model_a_better.low)} to ${percent(s.model_a_better.high)}`} />
        <Figure title={`${d.modelB} is better`} value={percent(s.model_b_better.share)} note={`${plural(s.model_b_better.documents, "document")}, ${percent(s.model_b_better.low)} to ${percent(s.model_b_better.high)}`} />
        <Figure title="Median gap" value={signed(s.median_gap_bpb.value)} note={interval(s.median_gap_bpb.low, s.median_gap_bpb.high)} />
        <Figure title="Mean without 10% at each end" value={signed(s.trimmed_mean_gap_bpb.value)} note={interval(s.trimmed_mean_gap_bpb.low, s.trimmed_mean_gap_bpb.high)} />
        <Figure title="Top 1% of the documents" value={percent(t.share, 0)} note={`of the gap; that of the others is ${signed(t.rest_gap_bpb)}`} />
        <Figure title="Effective number" value={count(Math.round(s.effective_documents))} note={`of ${plural(s.documents, "document")}, as if of equal size`} />
      </dl>
    </section>
  );
}
