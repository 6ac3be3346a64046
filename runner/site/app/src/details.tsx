// The page of a kind without its own: its details as they are.
import { json, role } from "site/load";
import { Loaded } from "site/loaded";
import type { Page, ViewProps } from "site/page";

function Details({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => json<unknown>(role(entry, "details"))}>
      {(details) => <pre class="details" tabIndex={0}>{JSON.stringify(details, null, 2)}</pre>}
    </Loaded>
  );
}

export const page: Page = { tabs: [{ id: "details", title: "Details", view: Details }] };
