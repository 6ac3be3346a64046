// What both models say of a place in the text.
import { codes, decimal, signed, visible } from "site/format";
import { useEffect, useState } from "preact/hooks";
import type { Entry } from "site/manifest";
import type { Cells } from "gap/cells";
import { rows, type Dataset, type DocumentRow } from "gap/data";
import { said, type Said, type Side } from "gap/losses";

/** Where the document is in the tables. */
interface Tables {
  entry: Entry;
  dataset: Dataset;
  row: DocumentRow;
}

interface Props {
  cells: Cells;
  cell: number | null;
  a: Side;
  b: Side;
  models: [string, string];
  tables: Tables;
}

export function Inspector({ cells, cell, a, b, models, tables: { entry, dataset, row } }: Props) {
  // What the models said is read when it is first looked at: it is more than the losses.
  const needed = cell !== null;
  const saidA = useSaid(needed, dataset.model_a_scores, dataset.model_a_confidence, row.model_a_table_row!);
  const saidB = useSaid(needed, dataset.model_b_scores, dataset.model_b_confidence, row.model_b_table_row!);
  if (cell === null) return <section class="inspector"><p class="hint">Point at the text<span class="keys">, or step with keys: <kbd>n</kbd> and <kbd>p</kbd> to the worst spans, <kbd>l</kbd> and <kbd>h</kbd> by token</span>.</p></section>;
  const [start, end] = [cells.bytes[cell]!, cells.bytes[cell + 1]!];
  const gap = cells.a[cell]! - cells.b[cell]!;
  const text = cells.text.slice(cells.chars[cell], cells.chars[cell + 1]);
  return (
    <section class="inspector" aria-live="polite">
      <p><code>{visible(text)}</code> <small>{[...codes(text), `bytes ${start} to ${end}`].join(", ")}</small></p>
      <p>Gap <b class={gap > 0 ? "worse" : "better"}>{Number.isNaN(gap) ? "–" : signed(gap, 3)}</b> bits per byte</p>
      <dl>
        <OfModel name={`a: ${models[0]}`} cells={cells} cell={cell} tokens={cells.tokenA} bpb={cells.a[cell]!} side={a} said={saidA} entry={entry} vocabulary="tokens_a" />
        <OfModel name={`b: ${models[1]}`} cells={cells} cell={cell} tokens={cells.tokenB} bpb={cells.b[cell]!} side={b} said={saidB} entry={entry} vocabulary="tokens_b" />
      </dl>
    </section>
  );
}

function useSaid(needed: boolean, path: string, confidence: string, row: number): Said | null {
  const [value, setValue] = useState<Said | null>(null);
  useEffect(() => {
    let current = true;
    // The losses are shown in any case; that a table is missing is said where the page loads.
    if (needed) said(path, confidence, row).then((s) => current && setValue(s), () => undefined);
    return () => void (current = false);
  }, [needed, path, row]);
  return value;
}

interface OfModelProps {
  name: string;
  cells: Cells;
  cell: number;
  tokens: Int32Array;
  bpb: number;
  side: Side;
  said: Said | null;
  entry: Entry;
  vocabulary: string;
}

/** OfModel is what one model says of a token. */
function OfModel({ name, cells, cell, tokens, bpb, side, said, entry, vocabulary }: OfModelProps) {
  const token = tokens[cell]!;
  const texts = useTexts(entry, vocabulary, said, cells, tokens);
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
          <><br />rank {rank}; first: <code>{visible(texts.get(top!) ?? `#${top}`)}</code> ({probable(Math.exp(-confidence.top_nll[token]!))}); entropy {decimal(confidence.entropies[token]! / Math.LN2, 2)} bits</>
        )}
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
const nothing = new Map<number, string>();

/** useTexts returns the texts of tokens: those of the document, and those that the site has of the model's vocabulary. */
function useTexts(entry: Entry, vocabulary: string, said: Said | null, cells: Cells, tokens: Int32Array): Map<number, string> {
  const [, loaded] = useState(0);
  useEffect(() => {
    if (!said || !entry.files[vocabulary]) return;
    const add = (all: { token_id: number; token_text: string }[]) => {
      for (const t of all) known.get(said)?.set(t.token_id, t.token_text);
      loaded(1);
    };
    // Without the vocabulary the tokens are shown by number.
    rows<{ token_id: number; token_text: string }>(entry, vocabulary).then(add, () => undefined);
  }, [said]);
  if (!said) return nothing;
  let texts = known.get(said);
  if (!texts) {
    known.set(said, (texts = new Map()));
    for (let i = 0; i < cells.count; i++) {
      if (tokens[i]! < 0 || tokens[i] === tokens[i - 1]) continue;
      const id = said.ids[tokens[i]!];
      if (id !== undefined && !texts.has(id)) texts.set(id, textOf(cells, tokens, i));
    }
  }
  return texts;
}
