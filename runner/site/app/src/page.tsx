// What a kind brings to the site: its page, divided into tabs, and a line for the overview.
import type { ComponentChildren, ComponentType, VNode } from "preact";
import type { Entry, Manifest } from "site/manifest";
import { useEffect, useRef } from "preact/hooks";
import { Link } from "site/table";
import { href, param } from "site/route";

export interface ViewProps {
  entry: Entry;
  manifest: Manifest;
}

/** A tab of a page. Hidden ones are reached by links, such as a document. */
export interface Tab {
  id: string;
  title: string;
  view: ComponentType<ViewProps>;
  hidden?: boolean;
  /** The file that it is made of; a site without text has none of some tabs. */
  needs?: string;
}

/** has says whether a tab can be shown. */
export const has = (entry: Entry, tab: Tab) => tab.needs === undefined || entry.files[tab.needs] !== undefined;

export interface Page {
  tabs: Tab[];
  /** A line under the title. */
  subtitle?(entry: Entry): ComponentChildren;
}

/** The tabs of a page as links. */
export function Tabs({ page, entry, current }: { page: Page; entry: Entry; current: Tab }): VNode | null {
  const bar = useRef<HTMLElement>(null);
  useEffect(() => {
    const link = bar.current?.querySelector<HTMLElement>("[aria-current]");
    if (link) bar.current!.scrollLeft = link.offsetLeft - bar.current!.clientWidth / 2;
  }, [current]);
  return (
    <nav class="tabs" aria-label="Views" ref={bar}>
      {page.tabs.filter((t) => (!t.hidden && has(entry, t)) || t === current).map((t) => (
        <Link href={href(t === page.tabs[0] ? entry.id : `${entry.id}/${t.id}`, kept())} aria-current={t === current ? "page" : undefined}>{t.title}</Link>
      ))}
    </nav>
  );
}

/** kept are the parameters that stay when the tab changes. */
function kept(): Record<string, string> {
  return { dataset: param("dataset"), shard: param("shard"), row: param("row") };
}

/** A number with its name. */
export function Figure({ title, value, note }: { title: string; value: ComponentChildren; note?: ComponentChildren }) {
  return (
    <div class="figure">
      <dt>{title}</dt>
      <dd>
        <b>{value}</b>
        {note && <small>{note}</small>}
      </dd>
    </div>
  );
}
