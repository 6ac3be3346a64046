// A document: its text under both models, byte by byte.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { bits, count, decimal, signed } from "site/format";
import { useKeys } from "site/keys";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import { Figure, type ViewProps } from "site/page";
import { go, href, param, replace, set } from "site/route";
import { Link } from "site/table";
import { at as cellAt, cellsOf, worst, type Part } from "gap/cells";
import { datasets, documentsOf, hasText, headlineOf, place, placeOf, type Dataset, type DocumentRow, type Place } from "gap/data";
import { Inspector } from "gap/inspector";
import { Legend } from "gap/legend";
import { side, text, type Side } from "gap/losses";
import { Painting, valueOf } from "gap/painting";
import type { Shown } from "gap/scale";
import { document as addressOf } from "gap/slices";
import { Spans } from "gap/spans";

export function DocumentView({ entry }: ViewProps) {
  const at = place();
  if (!at) return <p>The address names no document. <Link href={href(`${entry.id}/documents`)}>Choose one</Link></p>;
  return (
    <Loaded of={[entry.id, at.dataset, at.shard, at.row].join("\n")} load={() => both(entry, at)}>
      {(sides) => <Opened entry={entry} at={at} sides={sides} />}
    </Loaded>
  );
}

/** A document as both models scored it, and the rows of its dataset. */
interface Both {
  text: string;
  a: Side;
  b: Side;
  dataset: Dataset;
  row: DocumentRow;
  documents: DocumentRow[];
}

async function both(entry: Entry, at: Place): Promise<Both> {
  const dataset = (await datasets(entry)).find((d) => d.name === at.dataset);
  if (!dataset) throw new Error(`This comparison has no dataset ${at.dataset}`);
  const documents = await documentsOf(entry, dataset);
  const row = documents.find((d) => d.row_index === at.row && d.shard === at.shard);
  if (!row) throw new Error(`${at.dataset} has no document ${at.shard}:${at.row}`);
  if (row.model_a_table_row === null || row.model_b_table_row === null) throw new Error("The text of this document was not published with this site");
  const words = text(dataset.model_a_scores, row.model_a_table_row);
  const size = words.then((w) => new TextEncoder().encode(w).length);
  const [a, b] = await Promise.all([side(dataset.model_a_scores, row.model_a_table_row, size), side(dataset.model_b_scores, row.model_b_table_row, size)]);
  return { text: await words, a, b, dataset, row, documents };
}

const names: Shown[] = ["gap", "a", "b"];

function Opened({ entry, at, sides: { text: words, a, b, dataset, row, documents } }: { entry: Entry; at: Place; sides: Both }) {
  const { modelA, modelB } = headlineOf(entry);
  const hidden = param("hide");
  const shown = names.find((n) => n === param("show")) ?? "gap";
  const cells = useMemo(() => cellsOf(words, a, b), [a, b]);
  const parts = useMemo(() => worst(cells, (i) => valueOf(cells, shown, i), 100), [cells, shown]);
  const box = useRef<HTMLDivElement>(null);
  const painting = useRef<Painting | null>(null);
  const [pointed, point] = useState<number | null>(null);
  const chosen = param("at") === "" ? null : Number(param("at"));
  useEffect(() => {
    const p = (painting.current = new Painting(box.current!, cells, { shown, hidden }));
    if (chosen !== null) p.mark(cellAt(cells.bytes, cells.count, chosen), true);
    return () => p.close();
  }, [cells]);
  useEffect(() => painting.current?.show({ shown, hidden }), [shown, hidden]);
  const moved = useRef(true);
  useEffect(() => {
    if (chosen !== null) painting.current?.mark(cellAt(cells.bytes, cells.count, chosen), moved.current);
    moved.current = true;
  }, [chosen]);
  const choose = (cell: number) => replace({ at: cells.bytes[cell]! });
  const current = pointed ?? (chosen === null ? null : cellAt(cells.bytes, cells.count, chosen));
  useDocumentKeys({ entry, at, documents, parts, chosen, bytes: cells.bytes, choose });
  return (
    <article>
      <p class="subtitle"><Link href={href(`${entry.id}/documents`, { dataset: at.dataset })}>{at.dataset}</Link> › <b>{at.shard}:{at.row}</b></p>
      <dl class="figures">
        <Figure title="Gap, bits per byte" value={signed(row.gap_bpb)} note={`${bits(row.delta_bits)} bits over ${count(row.bytes)} bytes`} />
        <Figure title={`a: ${modelA}`} value={decimal(row.model_a_bpb)} note="bits per byte" />
        <Figure title={`b: ${modelB}`} value={decimal(row.model_b_bpb)} note="bits per byte" />
      </dl>
      <Toolbar shown={shown} hidden={hidden} labels={{ gap: "Gap", a: modelA, b: modelB }} />
      <Legend shown={shown} a={modelA} b={modelB} />
      <div class="document">
        <div
          ref={box} class="heat" role="region" aria-label={`Text of ${at.shard}:${at.row}`} tabIndex={0}
          onPointerMove={(e) => point(painting.current?.cellAt(e.clientX, e.clientY) ?? null)}
          onPointerLeave={() => point(null)}
          onClick={(e) => {
            const cell = painting.current?.cellAt(e.clientX, e.clientY) ?? null;
            if (cell === null || getSelection()?.type === "Range") return;
            moved.current = false;
            choose(cell);
          }}
        />
        <aside>
          <Inspector cells={cells} cell={current} a={a} b={b} models={[modelA, modelB]} at={{ dataset, row }} />
          <Spans cells={cells} parts={parts} shown={shown} chosen={chosen} choose={choose} />
        </aside>
      </div>
    </article>
  );
}

interface Stepping {
  entry: Entry;
  at: Place;
  documents: DocumentRow[];
  parts: Part[];
  chosen: number | null;
  bytes: Int32Array;
  choose(cell: number): void;
}

/** useDocumentKeys steps between the worst spans, cells and documents. */
function useDocumentKeys({ entry, at, documents, parts, chosen, bytes, choose }: Stepping): void {
  const rank = parts.findIndex((p) => bytes[p.from] === chosen);
  const span = (by: number) => {
    const part = parts[rank < 0 ? 0 : Math.max(0, Math.min(parts.length - 1, rank + by))];
    if (part) choose(part.from);
  };
  const cell = (by: number) => {
    let i = bytes.findIndex((x) => x >= (chosen ?? 0));
    i = Math.max(0, Math.min(bytes.length - 2, i + by));
    choose(i);
  };
  const other = (by: number) => {
    const readable = documents.filter(hasText);
    const next = readable[readable.findIndex((d) => d.row_index === at.row && d.shard === at.shard) + by];
    if (next) go(addressOf(entry, placeOf(next)));
  };
  const show = (name: Shown) => () => set({ show: name === "gap" ? null : name });
  useKeys([
    { key: "n", does: "the next of the worst spans", run: () => span(1) },
    { key: "p", does: "the previous of the worst spans", run: () => span(-1) },
    { key: "l", does: "one token on", run: () => cell(1) },
    { key: "h", does: "one token back", run: () => cell(-1) },
    { key: "]", does: "the next document of the dataset", run: () => other(1) },
    { key: "[", does: "the previous document", run: () => other(-1) },
    { key: "g", does: "color by the gap", run: show("gap") },
    { key: "a", does: "color by the loss of a", run: show("a") },
    { key: "b", does: "color by the loss of b", run: show("b") },
  ]);
}

const marks: [string, string][] = [["s", "White space"], ["a", "Tokens of a (above)"], ["b", "Tokens of b (below)"]];

function Toolbar({ shown, hidden, labels }: { shown: Shown; hidden: string; labels: Record<Shown, string> }) {
  return (
    <div class="controls">
      <fieldset class="switch">
        <legend>Color by</legend>
        {names.map((n) => (
          <label>
            <input type="radio" name="show" checked={shown === n} onChange={() => set({ show: n === "gap" ? null : n })} />
            <span>{labels[n]}</span>
          </label>
        ))}
      </fieldset>
      {marks.map(([key, title]) => (
        <label class="check">
          <input type="checkbox" checked={!hidden.includes(key)} onChange={() => set({ hide: hidden.includes(key) ? hidden.replace(key, "") : hidden + key })} />
          <span>{title}</span>
        </label>
      ))}
    </div>
  );
}
