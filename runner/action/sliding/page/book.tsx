// The strip of a text, and under it the text where a person points.
import { useMemo } from "preact/hooks";
import { Chart } from "site/chart";
import { count, ordered } from "site/format";
import { useKeys } from "site/keys";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import { param, set } from "site/route";
import { characters, page, probability, strip, texts, words, type Character, type Part, type Statistics } from "sliding/data";

export function Book({ entry, statistics }: { entry: Entry; statistics: Statistics }) {
  const document = Number(param("document") || 0);
  return (
    <>
      <Loaded of={entry.id + " texts"} load={() => texts(entry)}>
        {(all) => (
          <>
            {all.length > 1 && (
              <div class="choose">
                <label>
                  <span>Text</span>
                  <select value={document} onChange={(e) => set({ document: e.currentTarget.value, at: null })}>
                    {all.map((t) => <option value={t.document}>{t.shard}:{t.row_index}, largest probability {probability(t.max_log_p)}</option>)}
                  </select>
                </label>
              </div>
            )}
            {all[document] && <Strip entry={entry} document={document} length={all[document]!.characters} model={statistics.model} />}
          </>
        )}
      </Loaded>
    </>
  );
}

/** The decimal logarithm of the probability from which on colors differ. */
const floor = -16;

function Strip({ entry, document, length, model }: { entry: Entry; document: number; length: number; model: string }) {
  const at = Math.min(Number(param("at") || 0), length - 1);
  const start = Math.floor(at / page) * page;
  const readable = entry.files.text !== undefined;
  const turn = (by: number) => set({ at: Math.max(0, Math.min(length - 1, start + by * page)) });
  useKeys([
    { key: "]", does: "the next part of the text", run: () => turn(1) },
    { key: "[", does: "the previous part of the text", run: () => turn(-1) },
  ]);
  return (
    <>
      <Loaded of={`${entry.id} strip ${document}`} load={() => strip(entry, document)}>
        {(parts) => <Plot parts={parts} model={model} choose={readable ? (x) => set({ at: x }) : undefined} />}
      </Loaded>
      {readable ? <>
      <h2>Characters {count(start)} to {count(Math.min(length, start + page))} of {count(length)}</h2>
      <p>
        <button type="button" disabled={start === 0} onClick={() => turn(-1)}>Previous part</button>{" "}
        <button type="button" disabled={start + page >= length} onClick={() => turn(1)}>Next part</button>
      </p>
      <Loaded of={`${entry.id} ${document} ${start}`} load={() => Promise.all([words(entry, document, start), characters(entry, document, start)])}>
        {([text, all]) => (text === null ? <p>The text was not published with this site.</p> : <Colored text={text} start={start} characters={all} at={at} />)}
      </Loaded>
      </> : <p class="hint">The text was not published with this site.</p>}
    </>
  );
}

function Plot({ parts, model, choose }: { parts: Part[]; model: string; choose: ((x: number) => void) | undefined }) {
  const props = useMemo(() => ({
    title: "The largest probability of a window that covers each position of the text, prompt included." + (choose ? " Click to read there." : ""),
    x: { name: "character", values: parts.map((p) => p.start) },
    y: { name: "log10 of the probability" },
    lines: [{ name: model, values: parts.map((p) => (p.log_p === null ? null : p.log_p / Math.LN10)), fit: true, solid: true }],
    height: 220,
    ...(choose && { choose }),
  }), [parts]);
  return <Chart {...props} />;
}

/** level is the color of a log probability: each step is two decades. */
function level(logP: number | undefined): number {
  if (logP === undefined || logP === -Infinity) return 0;
  return Math.max(0, Math.min(8, Math.floor((logP / Math.LN10 - floor) / 2)));
}

function Colored({ text, start, characters, at }: { text: string; start: number; characters: Character[]; at: number }) {
  const letters = Array.from(text);
  const of = new Map(characters.map((c) => [c.character, c.log_p]));
  const runs: { from: number; to: number; level: number; most: number }[] = [];
  letters.forEach((_, i) => {
    const logP = of.get(start + i);
    const last = runs[runs.length - 1];
    const l = level(logP);
    if (last && last.level === l && start + i !== at && start + i !== at + 1) {
      last.to = i + 1;
      last.most = Math.max(last.most, logP ?? -Infinity);
    } else runs.push({ from: i, to: i + 1, level: l, most: logP ?? -Infinity });
  });
  return (
    <>
      <p class="hint">The color of a character is the probability of the most probable window that covers it, with its prompt or its continuation. The first value of each color is on it.</p>
      <div class="swatches" aria-hidden="true">{Array.from({ length: 9 }, (_, i) => <span class={i ? "p" + i : ""}>1e{floor + 2 * i}</span>)}</div>
      <div class="book" tabIndex={0} role="region" aria-label="The text">
        {runs.map((r) => <span class={(r.level ? "p" + r.level : "") + (start + r.from === at && param("at") !== "" ? " here" : "")} title={r.level ? probability(r.most) : undefined}>{ordered(letters.slice(r.from, r.to).join(""))}</span>)}
      </div>
    </>
  );
}
