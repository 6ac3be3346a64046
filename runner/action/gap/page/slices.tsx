// The slices of a gap: datasets, groups, buckets, literals and segments.
import type { Column } from "site/columns";
import { bits, count, signed, visible } from "site/format";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import type { ViewProps } from "site/page";
import { href, param, set } from "site/route";
import { Name, Table } from "site/table";
import { folded, gapColumns, summed, unitsOf } from "gap/columns";
import { datasets, details, headlineOf, rows, type Dataset, type GapRow, type Place } from "gap/data";

function labels(entry: Entry, counted: string) {
  const { modelA, modelB } = headlineOf(entry);
  return { a: modelA, b: modelB, counted };
}

export const tagsOf = (d: Dataset): string[] => (typeof d.tags === "string" ? d.tags.split(",").filter(Boolean) : (d.tags ?? []));

/** within says whether a dataset belongs to a group: a beginning of its name or of one of its tags. */
function within(d: Dataset, group: string): boolean {
  return [d.name, ...tagsOf(d)].some((name) => name === group || name.startsWith(group + "/"));
}

export function Datasets({ entry }: ViewProps) {
  const group = param("group");
  return (
    <Loaded of={entry.id} load={() => Promise.all([details(entry), datasets(entry)])}>
      {([{ clustered }, all]) => {
        const shown = only(all, group, (d) => within(d, group));
        const columns: Column<Dataset>[] = [
          { key: "name", title: "Dataset", value: (d) => d.name, cell: (d) => <><Name of={d.name} /> <small>{tagsOf(d).join(" ")}</small></> },
          ...gapColumns(all, labels(entry, "documents"), { won: true, detectable: true, units: unitsOf(clustered) }),
        ];
        return (
          <Table name="datasets" rows={shown} columns={columns} sort="-delta_bits" folded={summed} bytes={(d) => d.bytes}
            words={(d) => [d.name, ...tagsOf(d)].join("\n")} href={(d) => href(`${entry.id}/documents`, { dataset: d.name })}>
            {group && <button type="button" onClick={() => set({ group: null })}>Only group {group} ✕</button>}
          </Table>
        );
      }}
    </Loaded>
  );
}

export function Groups({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => details(entry)}>
      {(d) => (
        <>
          <p class="hint">A group sums the datasets with a common tag or a common beginning of their names. A dataset can be in several.</p>
          <Table name="groups" rows={d.dataset_groups} sort="-delta_bits" folded={folded} bytes={(r) => r.bytes} href={(r) => href(`${entry.id}/datasets`, { group: r.name })}
            columns={[{ key: "name", title: "Group", value: (r: GapRow) => r.name }, ...gapColumns(d.dataset_groups, labels(entry, "documents"), { won: true, detectable: true, units: unitsOf(d.clustered, d.dataset_groups.map((r) => r.name)) })]} />
        </>
      )}
    </Loaded>
  );
}

export function Buckets({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => details(entry)}>
      {(d) => (
        <>
          <p class="hint">The text is divided into words, numbers, punctuation, URLs and runs of white space. Every scored byte is in one bucket.</p>
          <Table name="buckets" rows={d.pattern_buckets} sort="-delta_bits" folded={summed} bytes={(r) => r.bytes} href={(r) => (entry.files.literals ? href(`${entry.id}/literals`, { bucket: r.name }) : null)}
            columns={[{ key: "name", title: "Bucket", value: (r: GapRow) => r.name }, ...gapColumns(d.pattern_buckets, labels(entry, "segments"), { won: true, detectable: true })]} />
        </>
      )}
    </Loaded>
  );
}

const filtered = new WeakMap<object, { by: string; rows: unknown[] }>();

/** only returns the rows that a parameter of the address selects; the same list for the same parameter. */
function only<T>(rows: T[], by: string, is: (row: T) => boolean): T[] {
  if (by === "") return rows;
  let known = filtered.get(rows);
  if (known?.by !== by) filtered.set(rows, (known = { by, rows: rows.filter(is) }));
  return known.rows as T[];
}

/** A text with an example of it. */
interface Example {
  example_dataset?: string | null;
  example_shard?: string | null;
  example_row_index?: number | null;
}

export function example(entry: Entry, e: Example): string | null {
  return e.example_dataset ? document(entry, { dataset: e.example_dataset, shard: e.example_shard ?? "", row: e.example_row_index ?? 0 }) : null;
}

export function document(entry: Entry, place: Place, at?: number | null): string {
  return href(`${entry.id}/document`, { ...place, at });
}

interface Literal extends GapRow, Example {
  bucket: string;
  model_a_token_boundaries: string;
  model_b_token_boundaries: string;
}

export function Literals({ entry }: ViewProps) {
  const bucket = param("bucket");
  return (
    <Loaded of={entry.id} load={() => rows<Literal>(entry, "literals")}>
      {(all) => {
        const columns: Column<Literal>[] = [
          { key: "name", title: "Literal", value: (l) => l.name, cell: (l) => <code>{visible(l.name)}</code> },
          { key: "bucket", title: "Bucket", value: (l) => l.bucket },
          ...gapColumns(all, labels(entry, "occurrences"), { won: false, detectable: false }),
          { key: "model_a_token_boundaries", title: "a's tokens", value: (l) => l.model_a_token_boundaries, cell: (l) => <code>{visible(l.model_a_token_boundaries)}</code> },
          { key: "model_b_token_boundaries", title: "b's tokens", value: (l) => l.model_b_token_boundaries, cell: (l) => <code>{visible(l.model_b_token_boundaries)}</code> },
        ];
        return (
          <>
            <p class="hint">The texts of at most 32 bytes with the largest differences, summed over all their occurrences. The link leads to the occurrence that differs most.</p>
            <Table name="literals" rows={only(all, bucket, (l) => l.bucket === bucket)} columns={columns} sort="-delta_bits" folded={folded} bytes={(l) => l.bytes}
              words={(l) => l.name + "\n" + l.bucket} href={(l) => example(entry, l)}>
              {bucket && <button type="button" onClick={() => set({ bucket: null })}>Only {bucket} ✕</button>}
            </Table>
          </>
        );
      }}
    </Loaded>
  );
}

interface Segment {
  dataset: string;
  shard: string;
  row_index: number;
  byte_start: number;
  byte_end: number;
  bucket: string;
  bytes: number;
  delta_bits: number;
  gap_bpb: number;
  text: string;
  doc_preview: string;
}

export function Segments({ entry }: ViewProps) {
  const columns: Column<Segment>[] = [
    { key: "text", title: "Segment", value: (s) => s.text, cell: (s) => <code>{visible(s.text)}</code> },
    { key: "bucket", title: "Bucket", value: (s) => s.bucket },
    { key: "delta_bits", title: "Bits", unit: "in total", number: true, absolute: true, value: (s) => s.delta_bits, text: (s) => bits(s.delta_bits), cell: (s) => <span class={s.delta_bits > 0 ? "worse" : "better"}>{bits(s.delta_bits)}</span> },
    { key: "gap_bpb", title: "Gap", unit: "bits per byte", number: true, absolute: true, value: (s) => s.gap_bpb, text: (s) => signed(s.gap_bpb) },
    { key: "bytes", title: "Bytes", number: true, value: (s) => s.bytes, text: (s) => count(s.bytes) },
    { key: "dataset", title: "Dataset", value: (s) => s.dataset },
    { key: "document", title: "Document", value: (s) => `${s.shard}:${s.row_index}` },
    { key: "doc_preview", title: "Around it", value: (s) => s.doc_preview, cell: (s) => <code>{visible(s.doc_preview)}</code> },
  ];
  return (
    <Loaded of={entry.id} load={() => rows<Segment>(entry, "segments")}>
      {(all) => (
        <>
          <p class="hint">The single occurrences with the largest differences, in both directions.</p>
          <Table name="segments" rows={all} columns={columns} sort="-delta_bits" bytes={(s) => s.bytes} words={(s) => [s.text, s.bucket, s.dataset, s.shard].join("\n")}
            href={(s) => document(entry, { dataset: s.dataset, shard: s.shard, row: s.row_index }, s.byte_start)} />
        </>
      )}
    </Loaded>
  );
}
