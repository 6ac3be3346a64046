// The page of runs: what was done, how long it took, and the key of each result.
import type { Column } from "site/columns";
import { count, decimal } from "site/format";
import { json, role } from "site/load";
import { Loaded } from "site/loaded";
import { Figure, type Page, type ViewProps } from "site/page";
import { whole } from "site/parquet";
import { Table } from "site/table";

interface Details {
  runs: { id: string; started: string; state: string }[];
  states: Record<string, number>;
  seconds: Record<string, number>;
  computed: Record<string, unknown>[];
}

interface Action {
  action: string;
  kind: string;
  dataset: string;
  model: string;
  state: string;
  key: string;
  seconds: number | null;
  documents: number | null;
  bytes: number | null;
  worker: string;
  warnings: string[] | null;
}

const columns: Column<Action>[] = [
  { key: "action", title: "Action", value: (a) => a.action },
  { key: "state", title: "State", value: (a) => a.state },
  { key: "seconds", title: "Time", unit: "seconds", number: true, value: (a) => a.seconds, text: (a) => decimal(a.seconds, 2) },
  { key: "documents", title: "Documents", number: true, value: (a) => a.documents, text: (a) => count(a.documents) },
  { key: "bytes", title: "Bytes", number: true, value: (a) => a.bytes, text: (a) => count(a.bytes) },
  { key: "worker", title: "Computed by", value: (a) => a.worker },
  { key: "warnings", title: "Warnings", value: (a) => (a.warnings ?? []).join("; ") },
  { key: "key", title: "Key", value: (a) => a.key, cell: (a) => <code>{a.key.slice(0, 12)}</code> },
];

function Runs({ entry }: ViewProps) {
  const load = () => Promise.all([json<Details>(role(entry, "details")), whole<Action>(entry, "actions")]);
  return (
    <Loaded of={entry.id} load={load}>
      {([d, actions]) => (
        <>
          <dl class="figures">
            {Object.entries(d.states).map(([state, n]) => <Figure title={state} value={count(n)} note="actions" />)}
            {Object.entries(d.seconds).map(([kind, s]) => <Figure title={kind} value={decimal(s, 1)} note="seconds when it was computed" />)}
          </dl>
          <Table name="actions" rows={actions} columns={columns} sort="action" words={(a) => [a.action, a.kind, a.state, a.worker, a.key].join("\n")} />
          <h2>Runs</h2>
          <ul class="plain">{d.runs.map((r) => <li><code>{r.id}</code> <small>{r.started}, {r.state}</small></li>)}</ul>
          <h2>What computed the results</h2>
          <pre tabIndex={0}>{JSON.stringify(d.computed, null, 2)}</pre>
        </>
      )}
    </Loaded>
  );
}

export const page: Page = { tabs: [{ id: "run", title: "Run", view: Runs }] };
