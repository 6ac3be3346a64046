// The frame of every page: the title, the list of comparisons, and the page that the address names.
import { useEffect } from "preact/hooks";
import { json, withoutRanges } from "site/load";
import { Loaded, Notice } from "site/loaded";
import { Help, helpIsOpen, useKeys, type Key } from "site/keys";
import { pageOf } from "site/kinds";
import { format, type Entry, type Manifest } from "site/manifest";
import { Overview, titles } from "site/overview";
import { has, Tabs, type Page } from "site/page";
import { go, href, route } from "site/route";
import { Link } from "site/table";
import { theme, toggle } from "site/theme";

export function Shell() {
  return (
    <Loaded of="site.json" load={manifest}>
      {(m) => <Site manifest={m} />}
    </Loaded>
  );
}

async function manifest(): Promise<Manifest> {
  const m = await json<Manifest>({ path: "site.json" });
  if (m.format !== format) throw new Error(`site.json has format ${m.format}; these pages read format ${format}. Export the site again with one version of Surprisal`);
  return m;
}

function Site({ manifest }: { manifest: Manifest }) {
  const { entry, rest } = find(manifest, route.value.path);
  const overview = route.value.path.length === 0;
  useKeys(globalKeys);
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")!.focus(); }}>Skip to the content</a>
      <header>
        <Link href="#/" class="brand">{manifest.title || "Surprisal"}</Link>
        <Navigation manifest={manifest} current={entry} />
        <button type="button" onClick={toggle} aria-label={theme.value === "dark" ? "Use light colors" : "Use dark colors"}>{theme.value === "dark" ? "Light" : "Dark"}</button>
        <button type="button" onClick={() => (helpIsOpen.value = true)} aria-label="List the keys">?</button>
      </header>
      <main id="main" tabIndex={-1}>
        {withoutRanges.value && (
          <p class="hint" role="status">This server sends whole files where a part was asked for. Everything works, but slower: <code>runner serve</code> and object stores send parts.</p>
        )}
        {overview ? <Overview manifest={manifest} /> : entry ? <EntryPage key={entry.id} manifest={manifest} entry={entry} tab={rest[0] ?? ""} /> : <Missing />}
      </main>
      <footer>
        {manifest.generator} · <a href="licenses.txt">licenses</a>
      </footer>
      <Help />
    </>
  );
}

const globalKeys: Key[] = [
  { key: "/", does: "search", run: () => document.querySelector<HTMLElement>("input[type=search]")?.focus() },
  { key: "t", does: "light or dark", run: toggle },
  { key: "o", does: "the overview", run: () => go("#/") },
];

/** find returns the entry whose id the path starts with; the longest, because names may have slashes. */
function find(manifest: Manifest, path: string[]): { entry?: Entry; rest: string[] } {
  for (let n = path.length; n > 0; n--) {
    const entry = manifest.entries.find((e) => e.id === path.slice(0, n).join("/"));
    if (entry) return { entry, rest: path.slice(n) };
  }
  return { rest: [] };
}

function Navigation({ manifest, current }: { manifest: Manifest; current: Entry | undefined }) {
  return (
    <details class="menu contents">
      <summary>{current ? `${current.experiment} › ${current.kind} › ${current.name}` : "All pages"}</summary>
      <nav class="choices" aria-label="All pages" onClick={(e) => { if (e.target instanceof HTMLAnchorElement) e.currentTarget.closest("details")!.open = false; }}>
        <Link href="#/" aria-current={current ? undefined : "page"}>Overview</Link>
        {manifest.entries.map((e) => (
          <Link href={href(e.id)} aria-current={e === current ? "page" : undefined}><small>{e.experiment} › {e.kind}</small> {e.name}</Link>
        ))}
      </nav>
    </details>
  );
}

function EntryPage({ manifest, entry, tab }: { manifest: Manifest; entry: Entry; tab: string }) {
  return (
    <Loaded of={entry.kind} load={() => pageOf(entry.kind)}>
      {(page) => <Opened page={page} manifest={manifest} entry={entry} tab={tab} />}
    </Loaded>
  );
}

function Opened({ page, manifest, entry, tab }: { page: Page; manifest: Manifest; entry: Entry; tab: string }) {
  const current = page.tabs.find((t) => t.id === tab) ?? (tab === "" ? page.tabs[0] : undefined);
  const visible = page.tabs.filter((t) => !t.hidden && has(entry, t));
  useKeys(visible.slice(0, 9).map((t, i) => ({ key: String(i + 1), does: t.title, run: () => go(href(i === 0 ? entry.id : `${entry.id}/${t.id}`)) })));
  useEffect(() => void (document.title = [current?.title, entry.title || entry.name, manifest.title || "Surprisal"].filter(Boolean).join(" · ")), [current, entry]);
  if (!current) return <Missing />;
  const kind = titles[entry.kind] ?? entry.kind;
  return (
    <>
      <h1>{entry.title !== kind && <small>{kind}</small>} {entry.title || entry.name}</h1>
      {page.subtitle && <p class="subtitle">{page.subtitle(entry)}</p>}
      {visible.length > 1 && <Tabs page={page} entry={entry} current={current} />}
      {!has(entry, current) ? <p>{current.title} quote the text, which was not published with this site.</p> : <current.view key={current.id} entry={entry} manifest={manifest} />}
    </>
  );
}

function Missing() {
  return (
    <>
    <h1>No such page</h1>
    <Notice title="This site does not have this page">
      <p>The address names <code>{route.value.path.join("/")}</code>. It may belong to an entry that was not exported. <Link href="#/">See all pages</Link></p>
    </Notice>
    </>
  );
}
