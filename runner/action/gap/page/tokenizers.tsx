// Where the tokenizers of both models cut the text differently, and what that costs.
import { sideOf } from "site/bar";
import type { Column } from "site/columns";
import { bits, count, interval, percent, signed, visible } from "site/format";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import { Figure, type ViewProps } from "site/page";
import { Table } from "site/table";
import { gapColumns } from "gap/columns";
import { details, headlineOf, rows, type GapRow, type Tokenizers as Summary } from "gap/data";
import { example } from "gap/slices";

export function Tokenizers({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => details(entry)}>
      {(d) => (d.tokenizers ? <Shares entry={entry} t={d.tokenizers} /> : <p>No document has tokens on both sides, as in tables that were imported without them.</p>)}
    </Loaded>
  );
}

function Shares({ entry, t }: { entry: Entry; t: Summary }) {
  const { modelA, modelB } = headlineOf(entry);
  const kinds: GapRow[] = [{ ...t.different, name: "cut differently" }, { ...t.alike, name: "cut alike" }];
  return (
    <>
      <dl class="figures">
        {t.different_share && <Figure title="Bytes cut differently" value={percent(t.different_share.value)} note={`${percent(t.different_share.low)} to ${percent(t.different_share.high)}`} />}
        {t.different_gap_bpb && <Figure title="Of the gap, from that text" value={signed(t.different_gap_bpb.value)} note={interval(t.different_gap_bpb.low, t.different_gap_bpb.high)} />}
        {t.alike_gap_bpb && <Figure title="Of the gap, from the rest" value={signed(t.alike_gap_bpb.value)} note={interval(t.alike_gap_bpb.low, t.alike_gap_bpb.high)} />}
      </dl>
      {t.unknown_bytes > 0 && <p class="hint">A side has no tokens for {count(t.unknown_bytes)} bytes, which are not part of this.</p>}
      <Table name="kinds of text" prefix="kind-" rows={kinds} sort="-delta_bits"
        columns={[{ key: "name", title: "Text", value: (r: GapRow) => r.name }, ...gapColumns(kinds, { a: modelA, b: modelB, counted: "parts" }, { won: true, detectable: false })]} />
      <h2>Texts that are cut differently</h2>
      {entry.files.cuts ? <Cuts entry={entry} /> : <p>They were not published with this site.</p>}
    </>
  );
}

interface Cut {
  text: string;
  occurrences: number;
  lower_bound: boolean;
  bytes: number;
  gap_bpb: number | null;
  delta_bits: number;
  gap_low: number | null;
  gap_high: number | null;
  model_a_token_boundaries: string;
  model_b_token_boundaries: string;
  example_dataset?: string;
  example_shard?: string;
  example_row_index?: number;
}

function Cuts({ entry }: { entry: Entry }) {
  const columns: Column<Cut>[] = [
    { key: "model_a_token_boundaries", title: "a's tokens", value: (c) => c.model_a_token_boundaries, cell: (c) => <code>{visible(c.model_a_token_boundaries)}</code> },
    { key: "model_b_token_boundaries", title: "b's tokens", value: (c) => c.model_b_token_boundaries, cell: (c) => <code>{visible(c.model_b_token_boundaries)}</code> },
    { key: "delta_bits", title: "Bits", unit: "in total", number: true, absolute: true, value: (c) => c.delta_bits, text: (c) => bits(c.delta_bits), cell: (c) => <span class={sideOf(c)}>{bits(c.delta_bits)}</span> },
    { key: "gap_bpb", title: "Gap", unit: "bits per byte", number: true, absolute: true, value: (c) => c.gap_bpb, text: (c) => signed(c.gap_bpb) },
    { key: "gap_low", title: "95% interval", number: true, value: (c) => c.gap_low, text: (c) => interval(c.gap_low, c.gap_high) },
    { key: "occurrences", title: "n", unit: "occurrences", number: true, value: (c) => c.occurrences, text: (c) => (c.lower_bound ? "at least " : "") + count(c.occurrences) },
  ];
  return (
    <Loaded of={entry.id} load={() => rows<Cut>(entry, "cuts")}>
      {(all) => <Table name="texts" rows={all} columns={columns} sort="-delta_bits" bytes={(c) => c.bytes} words={(c) => c.text} href={(c) => example(entry, c)} />}
    </Loaded>
  );
}
