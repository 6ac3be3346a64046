// The page of a gap.
import { lazy } from "site/lazy";
import { headlineOf } from "gap/data";
import { Buckets, Datasets, Groups, Literals, Segments } from "gap/slices";
import { Provenance } from "gap/provenance";
import { Summary } from "gap/summary";
import { Tokenizers } from "gap/tokenizers";
import { Documents } from "gap/documents";
import type { Page } from "site/page";

export const page: Page = {
  subtitle: (entry) => {
    const { modelA, modelB } = headlineOf(entry);
    return <>a is <b>{modelA}</b>, b is <b>{modelB}</b>. The gap is a minus b in bits per byte: positive means that {modelA} is worse.</>;
  },
  tabs: [
    { id: "summary", title: "Summary", view: Summary },
    { id: "datasets", title: "Datasets", view: Datasets },
    { id: "groups", title: "Groups", view: Groups },
    { id: "buckets", title: "Buckets", view: Buckets },
    { id: "literals", title: "Literals", view: Literals, needs: "literals" },
    { id: "segments", title: "Segments", view: Segments, needs: "segments" },
    { id: "documents", title: "Documents", view: Documents },
    { id: "tokenizers", title: "Tokenizers", view: Tokenizers },
    { id: "provenance", title: "Provenance", view: Provenance },
    { id: "document", title: "Document", view: lazy(async () => (await import("gap/document")).DocumentView), hidden: true },
  ],
};
