// A comparison of any models with a baseline, on the datasets whose same bytes they scored under the same protocol.
import type { Column } from "site/columns";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import { Figure, type ViewProps } from "site/page";
import { param, set } from "site/route";
import { count, decimal, interval, plural, signed } from "site/format";
import { Table } from "site/table";
import { gapColumns, named, summed, unitsOf } from "gap/columns";
import type { GapRow } from "gap/data";
import { Many } from "score/many";
import { compare, type Pair } from "score/pair";
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
  // The names of models have no commas.
  const all = (param("a") || names[0] || "").split(",").filter(Boolean);
  const b = param("b") || names.find((n) => !all.includes(n)) || names[0] || "";
  const models = all.filter((m, i) => all.indexOf(m) === i && m !== b);
  return (
    <>
      <div class="choose">
        {all.map((m, i) => (
          <Choice label={i === 0 ? "a" : "and"} name={m} names={names.filter((n) => n === m || !all.includes(n))} removable={all.length > 1}
            choose={(n) => set({ a: all.map((old, k) => (k === i ? n : old)).filter(Boolean).join(","), b })} />
        ))}
        {names.some((n) => n !== b && !all.includes(n)) && (
          <Choice label="and" name="" names={names.filter((n) => n !== b && !all.includes(n))} removable={false} choose={(n) => set({ a: [...all, n].join(","), b })} />
        )}
        <Choice label={all.length === 1 ? "b" : "baseline"} name={b} names={names} removable={false} choose={(n) => set({ a: all.map((m) => (m === n ? b : m)).join(","), b: n })} />
        {all.length === 1 && <button type="button" onClick={() => set({ a: b, b: all[0]! })}>Swap</button>}
      </div>
      {models.length === 0 ? <p>Choose two different models.</p> : (
        <Loaded of={[entry.id, b, ...models].join("\n")} load={() => Promise.all(models.map((m) => compare(scores, { a: m, b }, details)))}>
          {(pairs) => <Result models={models} b={b} pairs={pairs} />}
        </Loaded>
      )}
    </>
  );
}

interface ChoiceProps {
  label: string;
  /** The model that is chosen, "" for one that is to be added. */
  name: string;
  names: string[];
  removable: boolean;
  choose(name: string): void;
}

function Choice({ label, name, names, removable, choose }: ChoiceProps) {
  return (
    <label>
      <span>{label}</span>
      <select value={name} onChange={(e) => choose(e.currentTarget.value)}>
        {name === "" && <option value="">add a model</option>}
        {name !== "" && !names.includes(name) && <option value={name}>{name} (not in this site)</option>}
        {names.map((n) => <option value={n}>{n}</option>)}
        {removable && <option value="">(remove)</option>}
      </select>
    </label>
  );
}

function Result({ models, b, pairs }: { models: string[]; b: string; pairs: Pair[] }) {
  const refused = [...new Set(pairs.flatMap((p) => p.refused))];
  return (
    <>
      {refused.length > 0 && <Refused all={refused} />}
      {pairs.every((p) => p.rows.length === 0) ? <p>No dataset has scores of these models for the same bytes under the same protocol.</p>
        : pairs.length === 1 ? <Two a={models[0]!} b={b} pair={pairs[0]!} /> : <Many models={models} baseline={b} pairs={pairs} />}
    </>
  );
}

/** How many reasons are shown unfolded. */
const few = 5;

function Refused({ all }: { all: string[] }) {
  const list = (some: string[]) => <ul class="warnings">{some.map((r) => <li>{r}</li>)}</ul>;
  if (all.length <= few) return list(all);
  return <details><summary>{plural(all.length, "dataset")} cannot be compared</summary>{list(all)}</details>;
}

function Two({ a, b, pair: { rows, overall, clustered } }: { a: string; b: string; pair: Pair }) {
  const columns: Column<GapRow>[] = [{ key: "name", title: "Dataset", value: (r) => r.name }, ...gapColumns(rows, { a, b, counted: "documents", named: true }, { won: true, detectable: true, units: unitsOf(clustered) })];
  return (
    <>
      <dl class="figures">
        <Figure title="Gap, bits per byte" value={signed(overall.gap_bpb)} note={`95% interval ${interval(overall.gap_low, overall.gap_high)} from ${plural(overall.units, clustered.length > 0 ? "unit" : "document")}: ${named(overall.verdict, { a, b })}`} />
        <Figure title={`a: ${a}`} value={decimal(overall.model_a_bpb)} note="bits per byte" />
        <Figure title={`b: ${b}`} value={decimal(overall.model_b_bpb)} note="bits per byte" />
        <Figure title="Text" value={count(overall.bytes)} note={`bytes of ${plural(overall.documents, "document")}`} />
      </dl>
      <Table name="datasets" rows={rows} columns={columns} sort="-delta_bits" total={rows.length > 1 ? overall : undefined} folded={summed} bytes={(r) => r.bytes} />
    </>
  );
}
