// What the units of a gap's intervals are: documents, or clusters of them.
import { plural } from "site/format";
import { fewClusters, type Clustered, type Details } from "gap/data";

/** nounOf is what a unit is called: a document, if no dataset has clusters. */
export const nounOf = (d: Details) => ((d.clustered ?? []).length > 0 ? "unit" : "document");

/** from says what the interval of everything comes from. */
export function from(d: Details): string {
  const noun = nounOf(d);
  return `from ${plural(d.overall.units, noun)}${noun === "unit" && d.overall.units < fewClusters ? ", rough" : ""}`;
}

/** sentence tells what the units of a dataset are. */
export function sentence(c: Clustered): string {
  const rough = c.clusters < fewClusters ? ` Intervals from fewer than ${fewClusters} clusters are rough.` : "";
  return `The units of ${c.dataset} are ${plural(c.clusters, "cluster")} of documents: ${c.by === "shard" ? "its shards" : "a field of its rows names them"}.${rough}`;
}

/** How many datasets are told of one by one. */
const few = 5;

/** Units tells which datasets have clusters as units. */
export function Units({ details: d }: { details: Details }) {
  const all = d.clustered ?? [];
  if (all.length === 0) return null;
  const rough = all.filter((c) => c.clusters < fewClusters).length;
  const lines = all.length <= few ? all.map(sentence) : [`The units of ${plural(all.length, "dataset")} are clusters of documents. The intervals of ${rough} of them come from fewer than ${fewClusters} clusters and are rough.`];
  return <ul class={rough > 0 ? "warnings" : "plain"}>{lines.map((line) => <li>{line}</li>)}</ul>;
}
