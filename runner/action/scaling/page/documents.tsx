// The documents that are hardest and easiest, and those that a larger model changes most and least.
import type { Column } from "site/columns";
import { count, decimal, ordered, plural, signed } from "site/format";
import { Loaded } from "site/loaded";
import type { Entry, Manifest } from "site/manifest";
import type { ViewProps } from "site/page";
import { href, param, set } from "site/route";
import { Link, Table } from "site/table";
import { datasets, headlineOf } from "gap/data";
import { details, type Document, type Summary } from "scaling/data";

type List = "hardest" | "easiest" | "mostGain" | "leastGain";

const lists: Record<List, { title: string; order(s: Summary): string }> = {
  hardest: { title: "Hardest", order: () => "the largest means of bits per byte over the models" },
  easiest: { title: "Easiest", order: () => "the smallest means of bits per byte over the models" },
  mostGain: { title: "Gain most", order: (s) => `the bits per byte that fall most from ${ends(s)}` },
  leastGain: { title: "Gain least", order: (s) => `the bits per byte that fall least, or rise most, from ${ends(s)}` },
};

const ends = (s: Summary) => `${s.gain![0]} to ${s.gain![s.gain!.length - 1]}`;

export function Documents({ entry, manifest }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => details(entry)}>
      {(s) => {
        const available = (Object.keys(lists) as List[]).filter((l) => s.rankedDocuments[l]);
        const chosen = available.find((l) => l === param("list")) ?? "hardest";
        const documents = s.rankedDocuments[chosen] ?? [];
        return (
          <>
            <fieldset class="switch">
              <legend>Show</legend>
              {available.map((l) => (
                <label><input type="radio" name="list" checked={l === chosen} onChange={() => set({ list: l === "hardest" ? null : l })} /> {lists[l].title}</label>
              ))}
            </fieldset>
            <p class="hint">The documents of at least 32 scored bytes with {lists[chosen].order(s)}.</p>
            <Loaded of={[entry.id, chosen].join(" ")} load={() => links(entry, manifest, s, documents)}>
              {(to) => (
                <>
                  <Table name="documents" rows={documents} columns={columns(s, documents)} sort="" href={(d) => to.get(d) ?? null} />
                  <Texts documents={documents} links={to} />
                </>
              )}
            </Loaded>
          </>
        );
      }}
    </Loaded>
  );
}

const nameOf = (d: Document) => `${d.shard}:${d.row}`;

function columns(s: Summary, documents: Document[]): Column<Document>[] {
  const gain = s.gain ?? [];
  const [first, last] = [gain[0], gain[gain.length - 1]].map((name) => s.models.findIndex((m) => m.model === name));
  const change = (d: Document) => d.bpb[last!]! - d.bpb[first!]!;
  const all: (Column<Document> | false)[] = [
    { key: "document", title: "Document", value: nameOf },
    { key: "rank", title: "Rank", number: true, value: (d) => documents.indexOf(d) + 1 },
    { key: "dataset", title: "Dataset", value: (d) => d.dataset },
    ...s.models.map(({ model }, i): Column<Document> => ({ key: model, title: model, unit: "bits per byte", number: true, value: (d) => d.bpb[i], text: (d) => decimal(d.bpb[i]) })),
    gain.length > 1 && { key: "change", title: "Change", unit: "bits per byte", help: `from ${ends(s)}`, number: true, value: change, text: (d) => signed(change(d)) },
    ...s.models.map(({ model }, i): Column<Document> => ({ key: model + "_perplexity", title: model, unit: "perplexity per token", number: true, value: (d) => d.perplexityPerToken[i], text: (d) => decimal(d.perplexityPerToken[i], 2) })),
    { key: "bytes", title: "Bytes", number: true, value: (d) => d.scoredBytes, text: (d) => count(d.scoredBytes) },
  ];
  return all.filter((c) => c !== false);
}

function Texts({ documents, links }: { documents: Document[]; links: Map<Document, string> }) {
  if (!documents.some((d) => d.text)) return documents.length > 0 ? <p class="hint">The text was not published with this site.</p> : null;
  return (
    <>
      <h2>How they begin</h2>
      {documents.map((d, i) => (
        <section>
          <h3>{i + 1}. {links.has(d) ? <Link href={links.get(d)!}>{nameOf(d)}</Link> : nameOf(d)} <small>{d.dataset}, {plural(d.scoredBytes, "byte")}</small></h3>
          <div class="book">{ordered(d.text)}{d.cut && "…"}</div>
        </section>
      ))}
    </>
  );
}

/** links finds pages that show documents byte by byte: those of comparisons of the same models. */
async function links(entry: Entry, manifest: Manifest, s: Summary, documents: Document[]): Promise<Map<Document, string>> {
  const found = new Map<Document, string>();
  if (manifest.text === "none") return found;
  const models = new Set(s.models.map((m) => m.model));
  const both = (e: Entry) => Number(models.has(headlineOf(e).modelA)) + Number(models.has(headlineOf(e).modelB));
  const gaps = manifest.entries.filter((e) => e.kind === "gap" && e.experiment === entry.experiment && both(e) > 0).sort((x, y) => both(y) - both(x));
  for (const gap of gaps) {
    const has = new Set((await datasets(gap)).map((d) => d.name));
    for (const d of documents) if (!found.has(d) && has.has(d.dataset)) found.set(d, href(`${gap.id}/document`, { dataset: d.dataset, shard: d.shard, row: d.row }));
  }
  return found;
}
