// What both models say of a place in the text.
import { codes, decimal, signed, visible } from "site/format";
import { useEffect, useState } from "preact/hooks";
import type { Cells } from "gap/cells";
import type { Dataset, DocumentRow } from "gap/data";
import { said, type Said, type Side, type Tables } from "gap/losses";

/** Where the document is in the tables. */
interface At {
  dataset: Dataset;
  row: DocumentRow;
}

interface Props {
  cells: Cells;
  cell: number | null;
  a: Side;
  b: Side;
  models: [string, string];
  at: At;
}

export function Inspector({ cells, cell, a, b, models, at: { dataset, row } }: Props) {
  // What the models said is read when it is first looked at: it is more than the losses.
  const needed = cell !== null;
  const saidA = useSaid(needed, { path: dataset.model_a_scores, confidence: dataset.model_a_confidence, tokens: dataset.model_a_top_tokens }, row.model_a_table_row!);
  const saidB = useSaid(needed, { path: dataset.model_b_scores, confidence: dataset.model_b_confidence, tokens: dataset.model_b_top_tokens }, row.model_b_table_row!);
  if (cell === null) return <section class="inspector"><p class="hint">Point at the text<span class="keys">, or step with keys: <kbd>n</kbd> and <kbd>p</kbd> to the worst spans, <kbd>l</kbd> and <kbd>h</kbd> by token</span>.</p></section>;
  const [start, end] = [cells.bytes[cell]!, cells.bytes[cell + 1]!];
  const gap = cells.a[cell]! - cells.b[cell]!;
  const text = cells.text.slice(cells.chars[cell], cells.chars[cell + 1]);
  return (
    <section class="inspector" aria-live="polite">
      <p><code>{visible(text)}</code> <small>{[...codes(text), `bytes ${start} to ${end}`].join(", ")}</small></p>
      <p>Gap <b class={gap > 0 ? "worse" : "better"}>{Number.isNaN(gap) ? "–" : signed(gap, 3)}</b> bits per byte</p>
      <dl>
        <OfModel name={`a: ${models[0]}`} cells={cells} cell={cell} tokens={cells.tokenA} bpb={cells.a[cell]!} side={a} said={saidA} />
        <OfModel name={`b: ${models[1]}`} cells={cells} cell={cell} tokens={cells.tokenB} bpb={cells.b[cell]!} side={b} said={saidB} />
      </dl>
    </section>
  );
}

/** useSaid reads what a model said of a row: null before it is there, or an error. */
function useSaid(needed: boolean, tables: Tables, row: number): Said | Error | null {
  const [value, setValue] = useState<Said | Error | null>(null);
  useEffect(() => {
    let current = true;
    if (needed) said(tables, row).then((s) => current && setValue(s), (e) => current && setValue(e));
    return () => void (current = false);
  }, [needed, tables.path, row]);
  return value;
}

interface OfModelProps {
  name: string;
  cells: Cells;
  cell: number;
  tokens: Int32Array;
  bpb: number;
  side: Side;
  said: Said | Error | null;
}

/** OfModel is what one model says of a token. */
function OfModel({ name, cells, cell, tokens, bpb, side, said: found }: OfModelProps) {
  const token = tokens[cell]!;
  const said = found instanceof Error ? null : found;
  const loss = side.bits[token];
  const confidence = said?.confidence;
  const rank = confidence?.ranks[token];
  const top = confidence?.top_ids[token];
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {token >= 0 && <><code>{visible(textOf(cells, tokens, cell))}</code> {said && said.ids.length > 0 && <small>#{said.ids[token]}</small>}<br /></>}
        {Number.isNaN(bpb) ? "no loss" : <>{decimal(bpb, 3)} bits per byte</>}
        {loss !== undefined && !Number.isNaN(bpb) && <>, {decimal(loss, 2)} in the token ({probable(2 ** -loss)})</>}
        {confidence && rank !== undefined && rank > 0 && (
          <><br />rank {rank}; first: <code>{visible(textsOf(said!, cells, tokens).get(top!) || `#${top}`)}</code> ({probable(Math.exp(-confidence.top_nll[token]!))}); entropy {decimal(confidence.entropies[token]! / Math.LN2, 2)} bits</>
        )}
        {found instanceof Error && <><br /><small class="notice">{found.message}</small></>}
      </dd>
    </div>
  );
}

function probable(p: number): string {
  return p >= 0.001 ? (100 * p).toFixed(p >= 0.1 ? 0 : 1) + "%" : p.toExponential(0);
}

/** textOf returns the text of the token that a cell is part of. */
function textOf(cells: Cells, tokens: Int32Array, cell: number): string {
  let [from, to] = [cell, cell + 1];
  while (from > 0 && tokens[from - 1] === tokens[cell]) from--;
  while (to < cells.count && tokens[to] === tokens[cell]) to++;
  return cells.text.slice(cells.chars[from], cells.chars[to]);
}

const known = new WeakMap<Said, Map<number, string>>();

/** textsOf returns the texts of tokens: those that the site has, and those of the document. */
function textsOf(said: Said, cells: Cells, tokens: Int32Array): Map<number, string> {
  let texts = known.get(said);
  if (!texts) {
    known.set(said, (texts = new Map(said.texts)));
    for (let i = 0; i < cells.count; i++) {
      if (tokens[i]! < 0 || tokens[i] === tokens[i - 1]) continue;
      const id = said.ids[tokens[i]!];
      if (id !== undefined && !texts.has(id)) texts.set(id, textOf(cells, tokens, i));
    }
  }
  return texts;
}
