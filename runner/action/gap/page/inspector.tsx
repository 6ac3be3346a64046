// What both models say of a place in the text.
import { decimal, signed, visible } from "site/format";
import { useEffect, useState } from "preact/hooks";
import type { Entry } from "site/manifest";
import type { Cells } from "gap/cells";
import { rows } from "gap/data";
import type { Side } from "gap/losses";

interface Props {
  cells: Cells;
  cell: number | null;
  a: Side;
  b: Side;
  models: [string, string];
  entry: Entry;
}

export function Inspector({ cells, cell, a, b, models, entry }: Props) {
  if (cell === null) return <section class="inspector"><p class="hint">Point at the text, or step with keys: <kbd>n</kbd> and <kbd>p</kbd> to the worst spans, <kbd>l</kbd> and <kbd>h</kbd> by token.</p></section>;
  const [start, end] = [cells.bytes[cell]!, cells.bytes[cell + 1]!];
  const gap = cells.a[cell]! - cells.b[cell]!;
  return (
    <section class="inspector" aria-live="polite">
      <p><code>{visible(cells.text.slice(cells.chars[cell], cells.chars[cell + 1]))}</code> <small>bytes {start} to {end}</small></p>
      <p>Gap <b class={gap > 0 ? "worse" : "better"}>{Number.isNaN(gap) ? "–" : signed(gap, 3)}</b> bits per byte</p>
      <dl>
        <Said name={`a: ${models[0]}`} cells={cells} cell={cell} tokens={cells.tokenA} bpb={cells.a[cell]!} side={a} entry={entry} vocabulary="tokens_a" />
        <Said name={`b: ${models[1]}`} cells={cells} cell={cell} tokens={cells.tokenB} bpb={cells.b[cell]!} side={b} entry={entry} vocabulary="tokens_b" />
      </dl>
    </section>
  );
}

interface SaidProps {
  name: string;
  cells: Cells;
  cell: number;
  tokens: Int32Array;
  bpb: number;
  side: Side;
  entry: Entry;
  vocabulary: string;
}

/** Said is what one model says of a token. */
function Said({ name, cells, cell, tokens, bpb, side, entry, vocabulary }: SaidProps) {
  const token = tokens[cell]!;
  const texts = useTexts(entry, vocabulary, side, cells, tokens);
  const loss = side.bits[token];
  const said = side.confidence;
  const rank = said?.ranks[token];
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {token >= 0 && <><code>{visible(textOf(cells, tokens, cell))}</code> {side.ids.length > 0 && <small>#{side.ids[token]}</small>}<br /></>}
        {Number.isNaN(bpb) ? "no loss" : <>{decimal(bpb, 3)} bits per byte</>}
        {loss !== undefined && !Number.isNaN(bpb) && <>, {decimal(loss, 2)} in the token ({probable(2 ** -loss)})</>}
        {said && rank !== undefined && rank > 0 && (
          <><br />rank {rank}; first: <code>{visible(texts.get(said.top[token]!) ?? `#${said.top[token]}`)}</code> ({probable(Math.exp(-said.topNLL[token]!))}); entropy {decimal(said.entropies[token]! / Math.LN2, 2)} bits</>
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

const known = new WeakMap<Side, Map<number, string>>();

/** useTexts returns the texts of tokens: those of the document, and those that the site has of the model's vocabulary. */
function useTexts(entry: Entry, vocabulary: string, side: Side, cells: Cells, tokens: Int32Array): Map<number, string> {
  const [, loaded] = useState(0);
  let texts = known.get(side);
  if (!texts) {
    known.set(side, (texts = new Map()));
    for (let i = 0; i < cells.count; i++) {
      if (tokens[i]! < 0 || tokens[i] === tokens[i - 1]) continue;
      const id = side.ids[tokens[i]!];
      if (id !== undefined && !texts.has(id)) texts.set(id, textOf(cells, tokens, i));
    }
  }
  useEffect(() => {
    if (!side.confidence || !entry.files[vocabulary]) return;
    const add = (all: { token_id: number; token_text: string }[]) => {
      for (const t of all) texts.set(t.token_id, t.token_text);
      loaded(1);
    };
    // Without the vocabulary the tokens are shown by number: the rest of the page needs it not.
    rows<{ token_id: number; token_text: string }>(entry, vocabulary).then(add, () => undefined);
  }, [side]);
  return texts;
}
