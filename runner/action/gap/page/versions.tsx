// The earlier results of a gap, and what changed after each.
import { interval, plural, signed } from "site/format";
import { json, role } from "site/load";
import { Loaded } from "site/loaded";
import type { Entry } from "site/manifest";
import type { Headline } from "gap/data";

interface Version {
  key: string;
  run: string;
  started: string;
  headline: Headline;
  changed: { path: string; before?: string; after?: string }[] | null;
  changes: number;
}

export function Versions({ entry }: { entry: Entry }) {
  return (
    <>
      <h2>Earlier results</h2>
      <Loaded of={entry.id + " versions"} load={() => json<Version[]>(role(entry, "versions"))}>
        {(all) => (
          <ul class="certain">
            {all.map((v) => (
              <li>
                <time dateTime={v.started}>{v.started.replace("T", " ")}</time>
                <b>{signed(v.headline.overall.gap_bpb)}</b> {interval(v.headline.overall.gap_low, v.headline.overall.gap_high)}
                <code>{v.key.slice(0, 12)}</code>
                {v.changes > 0 && (
                  <details class="block">
                    <summary>{plural(v.changes, "change")} after it</summary>
                    <ul class="plain">{(v.changed ?? []).map((c) => <li><code>{c.path}</code>: {c.before ?? "nothing"} → {c.after ?? "nothing"}</li>)}</ul>
                  </details>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </>
  );
}
