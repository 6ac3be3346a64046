// The documents of a dataset, behind and ahead.
import { useMemo } from "preact/hooks";
import { compare } from "site/natural";
import type { Column } from "site/columns";
import { bits, count, decimal, signed, visible } from "site/format";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import type { ViewProps } from "site/page";
import { href, param, set } from "site/route";
import { Link, Table } from "site/table";
import { datasets, documentsOf, hasText, headlineOf, placeOf, type Dataset, type DocumentRow } from "gap/data";
import { document } from "gap/slices";

export function Documents({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => datasets(entry)}>
      {(all) => <Chosen entry={entry} all={all} />}
    </Loaded>
  );
}

function Chosen({ entry, all }: { entry: Entry; all: Dataset[] }) {
  const largest = all.reduce<Dataset | undefined>((best, d) => (!best || Math.abs(d.delta_bits) > Math.abs(best.delta_bits) ? d : best), undefined);
  const name = param("dataset") || largest?.name || "";
  const dataset = all.find((d) => d.name === name);
  if (all.length === 0) return <p>This comparison has no datasets.</p>;
  return (
    <>
      <div class="choose">
        <label>
          <span>Dataset</span>
          <select value={name} onChange={(e) => set({ dataset: e.currentTarget.value, search: null })}>
            {!dataset && <option value={name}>{name} (not in this site)</option>}
            {[...all].sort((x, y) => compare(x.name, y.name)).map((d) => <option value={d.name}>{d.name}</option>)}
          </select>
        </label>
        {dataset && <span>gap <b>{signed(dataset.gap_bpb)}</b> over {count(dataset.bytes)} bytes: {dataset.verdict}</span>}
      </div>
      {dataset ? (
        <Loaded of={entry.id + " " + name} load={() => documentsOf(entry, dataset)}>
          {(documents) => <List entry={entry} documents={documents} />}
        </Loaded>
      ) : <p>This comparison has no dataset <code>{name}</code>. <Link href={href(`${entry.id}/datasets`)}>See its datasets</Link></p>}
    </>
  );
}

/** The directions of the list, by the parameter of the address. */
const directions: Record<string, { title(a: string): string; has(d: DocumentRow): boolean }> = {
  "": { title: () => "All", has: () => true },
  behind: { title: (a) => `${a} behind`, has: (d) => d.delta_bits > 0 },
  ahead: { title: (a) => `${a} ahead`, has: (d) => d.delta_bits < 0 },
};

function List({ entry, documents }: { entry: Entry; documents: DocumentRow[] }) {
  const { modelA, modelB } = headlineOf(entry);
  const direction = param("direction");
  const shown = useMemo(() => documents.filter((directions[direction] ?? directions[""]!).has), [documents, direction]);
  const counts = useMemo(() => Object.values(directions).map((d) => documents.filter(d.has).length), [documents]);
  const quoted = documents.some((d) => d.worst_text);
  const columns: (Column<DocumentRow> | false)[] = [
    { key: "document", title: "Document", value: (d) => `${d.shard}:${d.row_index}` },
    { key: "delta_bits", title: "Bits", unit: "in total", number: true, absolute: true, value: (d) => d.delta_bits, text: (d) => bits(d.delta_bits), cell: (d) => <span class={d.delta_bits > 0 ? "worse" : "better"}>{bits(d.delta_bits)}</span> },
    { key: "gap_bpb", title: "Gap", unit: "bits per byte", number: true, absolute: true, value: (d) => d.gap_bpb, text: (d) => signed(d.gap_bpb) },
    { key: "model_a_bpb", title: modelA, unit: "a, bits per byte", number: true, value: (d) => d.model_a_bpb, text: (d) => decimal(d.model_a_bpb) },
    { key: "model_b_bpb", title: modelB, unit: "b, bits per byte", number: true, value: (d) => d.model_b_bpb, text: (d) => decimal(d.model_b_bpb) },
    { key: "bytes", title: "Bytes", number: true, value: (d) => d.bytes, text: (d) => count(d.bytes) },
    { key: "worst_bucket", title: "Worst segment", unit: "bucket", value: (d) => d.worst_bucket },
    { key: "worst_gap_bpb", title: "Its gap", number: true, absolute: true, value: (d) => d.worst_gap_bpb, text: (d) => signed(d.worst_gap_bpb) },
    quoted && { key: "worst_text", title: "Its text", value: (d) => d.worst_text, cell: (d) => <code>{visible(d.worst_text ?? "")}</code> },
  ];
  return (
    <Table name="documents" rows={shown} columns={columns.filter((c) => c !== false)} sort="-delta_bits" bytes={(d) => d.bytes}
      words={(d) => [`${d.shard}:${d.row_index}`, d.worst_bucket, d.worst_text].join("\n")} href={(d) => (hasText(d) ? document(entry, placeOf(d)) : null)}>
      <fieldset class="switch">
        <legend>Show</legend>
        {Object.entries(directions).map(([key, { title }], i) => (
          <label>
            <input type="radio" name="direction" checked={direction === key} onChange={() => set({ direction: key })} />
            <span>{title(modelA)} <small>{count(counts[i]!)}</small></span>
          </label>
        ))}
      </fieldset>
    </Table>
  );
}
