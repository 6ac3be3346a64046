// What a kind brings to the site: its page, divided into tabs, and a line for the overview.
import type { ComponentChildren, ComponentType, VNode } from "preact";
import type { Entry, Manifest } from "site/manifest";
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
}

export interface Page {
  tabs: Tab[];
  /** A line under the title. */
  subtitle?(entry: Entry): ComponentChildren;
}

/** The tabs of a page as links. */
export function Tabs({ page, entry, current }: { page: Page; entry: Entry; current: Tab }): VNode | null {
  if (page.tabs.filter((t) => !t.hidden).length < 2) return null;
  return (
    <nav class="tabs" aria-label="Views">
      {page.tabs.filter((t) => !t.hidden || t === current).map((t) => (
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
