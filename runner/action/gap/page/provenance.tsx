// What a gap was computed from: the protocols of both sides, the noise, and the digests of the files.
import { decimal } from "site/format";
import { Loaded } from "site/loaded";
import type { ViewProps } from "site/page";
import { from, sentence } from "gap/units";
import { Versions } from "gap/versions";
import { details } from "gap/data";

export function Provenance({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => details(entry)}>
      {(d) => {
        const [a, b] = [d.scoringProtocols?.a ?? {}, d.scoringProtocols?.b ?? {}];
        const fields = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((k) => JSON.stringify(a[k]) !== JSON.stringify(b[k]));
        return (
          <>
            <h2>Scoring protocols</h2>
            {d.scoringProtocols?.a == null || d.scoringProtocols.b == null ? <p>At least one side has no recorded protocol, as imported tables have none.</p> : fields.length === 0 ? <p>Both sides were scored under the same protocol.</p> : (
              <table class="plain">
                <thead><tr><th scope="col">Setting that differs</th><th scope="col">{d.modelA}</th><th scope="col">{d.modelB}</th></tr></thead>
                <tbody>{fields.map((k) => <tr><th scope="row">{k}</th><td>{JSON.stringify(a[k])}</td><td>{JSON.stringify(b[k])}</td></tr>)}</tbody>
              </table>
            )}
            <details class="block"><summary>All settings of {d.modelA}</summary><pre tabIndex={0}>{JSON.stringify(d.scoringProtocols?.a, null, 2)}</pre></details>
            <details class="block"><summary>All settings of {d.modelB}</summary><pre tabIndex={0}>{JSON.stringify(d.scoringProtocols?.b, null, 2)}</pre></details>
            <h2>Noise</h2>
            {d.noise_bpb ? <p>When documents were scored again in a different batch, bits per byte changed by at most {decimal(d.noise_bpb, 6)} on both sides together. A smaller gap is not evidence.</p> : <p>None was found: no document changed its bits per byte when it was scored again in a different batch.</p>}
            <h2>Intervals</h2>
            <p>The interval of the gap comes {from(d)}: from how much they differ{(d.clustered ?? []).length > 0 && ". A unit is a document, or a cluster of documents where a dataset has clusters"}.</p>
            {(d.clustered ?? []).length > 0 && <ul class="plain">{d.clustered!.map((c) => <li>{sentence(c)}</li>)}</ul>}
            <h2>Version</h2>
            <p>This is version <code>{entry.version}</code> of <code>{entry.id}</code>: a digest of the files of this page.{entry.key && <> They are made from the result with the key <code>{entry.key}</code>.</>}</p>
            {d.provenance !== undefined && <pre class="details" tabIndex={0}>{JSON.stringify(d.provenance, null, 2)}</pre>}
            {entry.files.versions && <Versions entry={entry} />}
            <h2>Files</h2>
            <ul class="plain">{Object.entries(entry.files).map(([name, file]) => <li><a href={file.path}>{name}</a> <code>{file.path}</code></li>)}</ul>
          </>
        );
      }}
    </Loaded>
  );
}
