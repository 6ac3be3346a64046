// The spans of a document that weigh most.
import { useState } from "preact/hooks";
import { bits, visible } from "site/format";
import type { Cells, Part } from "gap/cells";
import type { Shown } from "gap/scale";

const few = 12;

export function Spans({ cells, parts, shown, chosen, choose }: { cells: Cells; parts: Part[]; shown: Shown; chosen: number | null; choose(cell: number): void }) {
  const [all, more] = useState(false);
  return (
    <section class="spans">
      <h2>{shown === "gap" ? "Spans with the largest gaps" : "Spans with the largest losses"}</h2>
      <p class="hint">In bits.<span class="keys"> Keys <kbd>n</kbd> and <kbd>p</kbd> step between them.</span></p>
      <ol>
        {parts.slice(0, all ? parts.length : few).map((p) => (
          <li>
            <button type="button" aria-current={cells.bytes[p.from] === chosen ? "true" : undefined} onClick={() => choose(p.from)}>
              <span class={p.bits > 0 && shown === "gap" ? "worse" : shown === "gap" ? "better" : ""}>{bits(p.bits)}</span>
              <code>{before(cells, p)}<b>{short(cells, p)}</b>{after(cells, p)}</code>
            </button>
          </li>
        ))}
      </ol>
      {parts.length > few && <button type="button" onClick={() => more(!all)}>{all ? "Fewer" : `All ${parts.length}`}</button>}
    </section>
  );
}

/** How many characters of the text around a span are shown on each side: spans that are alike differ there. */
const around = 8;

function before(cells: Cells, p: Part) {
  const from = cells.chars[p.from]!;
  return <small>{visible([...cells.text.slice(Math.max(0, from - 2 * around), from)].slice(-around).join(""))}</small>;
}

function after(cells: Cells, p: Part) {
  const to = cells.chars[p.to]!;
  return <small>{visible([...cells.text.slice(to, to + 2 * around)].slice(0, around).join(""))}</small>;
}

function short(cells: Cells, p: Part): string {
  const text = cells.text.slice(cells.chars[p.from], cells.chars[p.to]);
  return visible(text.length > 40 ? text.slice(0, 40) + "…" : text);
}
