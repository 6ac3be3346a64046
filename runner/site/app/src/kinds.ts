// The pages of the kinds, each loaded when it is first opened.
import type { Page } from "site/page";

const loaders: Record<string, () => Promise<{ page: Page }>> = {
  drift: () => import("../../../action/drift/page"),
  gap: () => import("../../../action/gap/page"),
  gate: () => import("../../../action/gate/page"),
  outliers: () => import("../../../action/outliers/page"),
  run: () => import("site/run"),
  scaling: () => import("../../../action/scaling/page"),
  scores: () => import("../../../action/score/page"),
  series: () => import("../../../action/series/page"),
  sliding: () => import("../../../action/sliding/page"),
};

/** pageOf loads the page of a kind; a kind without one has a page that shows its details. */
export async function pageOf(kind: string): Promise<Page> {
  const load = loaders[kind] ?? (() => import("site/details"));
  return (await load()).page;
}
