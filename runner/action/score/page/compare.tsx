// A comparison of any two models on the datasets whose same bytes both scored under the same protocol.
import type { Column } from "site/columns";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import { Figure, type ViewProps } from "site/page";
import { param, set } from "site/route";
import { count, decimal, interval, plural, signed } from "site/format";
import { Table } from "site/table";
import { gapColumns, summed } from "gap/columns";
import type { GapRow } from "gap/data";
import { compare } from "score/pair";
import { details, scores, type Details, type Score } from "score/data";

export function Compare({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => Promise.all([details(entry), scores(entry)])}>
      {([d, all]) => <Chosen entry={entry} details={d} scores={all} />}
    </Loaded>
  );
}

function Chosen({ entry, details, scores }: { entry: Entry; details: Details; scores: Score[] }) {
  const names = details.models.map((m) => m.name);
  const [a, b] = [param("a") || names[0] || "", param("b") || names[1] || names[0] || ""];
  return (
    <>
      <div class="choose">
        <Choice label="a" name={a} names={names} />
        <Choice label="b" name={b} names={names} />
        <button type="button" onClick={() => set({ a: b, b: a })}>Swap</button>
      </div>
      {a === b ? <p>Choose two different models.</p> : (
        <Loaded of={[entry.id, a, b].join("\n")} load={() => compare(scores, a, b)}>
          {(c) => (
            <>
              {c.refused.length > 0 && <ul class="warnings">{c.refused.map((r) => <li>{r}</li>)}</ul>}
              {c.rows.length === 0 ? <p>No dataset has scores of both models for the same bytes under the same protocol.</p> : <Result a={a} b={b} rows={c.rows} overall={c.overall} />}
            </>
          )}
        </Loaded>
      )}
    </>
  );
}

function Choice({ label, name, names }: { label: string; name: string; names: string[] }) {
  return (
    <label>
      <span>{label}</span>
      <select value={name} onChange={(e) => set({ [label]: e.currentTarget.value })}>
        {!names.includes(name) && <option value={name}>{name} (not in this site)</option>}
        {names.map((n) => <option value={n}>{n}</option>)}
      </select>
    </label>
  );
}

function Result({ a, b, rows, overall }: { a: string; b: string; rows: GapRow[]; overall: GapRow }) {
  const columns: Column<GapRow>[] = [{ key: "name", title: "Dataset", value: (r) => r.name }, ...gapColumns(rows, { a, b, counted: "documents" }, { won: true, detectable: true })];
  return (
    <>
      <dl class="figures">
        <Figure title="Gap, bits per byte" value={signed(overall.gap_bpb)} note={`95% interval ${interval(overall.gap_low, overall.gap_high)}: ${overall.verdict}`} />
        <Figure title={`a: ${a}`} value={decimal(overall.model_a_bpb)} note="bits per byte" />
        <Figure title={`b: ${b}`} value={decimal(overall.model_b_bpb)} note="bits per byte" />
        <Figure title="Text" value={count(overall.bytes)} note={`bytes of ${plural(overall.documents, "document")}`} />
      </dl>
      <Table name="datasets" rows={rows} columns={columns} sort="-delta_bits" folded={summed} bytes={(r) => r.bytes} />
    </>
  );
}
