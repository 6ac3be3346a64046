// What stands above a table: search, filters, how many rows match, and copies of it.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Column } from "site/columns";
import { copy, forms, save, write, type Form } from "site/copy";
import { param, set, type } from "site/route";
import { bytes, type Search } from "site/search";

interface ControlsProps<T> {
  /** Whether the table is too short to search. */
  few: boolean;
  prefix: string;
  name: string;
  status: string;
  search: Search;
  sized: boolean;
  rows: T[];
  columns: Column<T>[];
  children?: ComponentChildren;
}

export function Controls<T>({ few, prefix, name, status, search, sized, rows, columns, children }: ControlsProps<T>) {
  const least = param(prefix + "min");
  const wrong = least !== "" && bytes(least) === null;
  const problem = search.problem ? `Not a regular expression: ${search.problem}` : wrong ? `"${least}" is not a size: write 2000, 2k or 1.5M` : "";
  return (
    <div class="controls">
      {!few && <>
      <label>
        <span>Search</span>
        <input type="search" name={prefix + "search"} value={param(prefix + "search")} aria-invalid={search.problem !== undefined} spellcheck={false}
          onInput={(event) => type(prefix + "search", event.currentTarget.value)} />
      </label>
      <label class="check">
        <input type="checkbox" name={prefix + "regexp"} checked={param(prefix + "regexp") === "1"}
          onChange={(event) => set({ [prefix + "regexp"]: event.currentTarget.checked ? 1 : null })} />
        <span>Regular expression</span>
      </label>
      {sized && (
        <label>
          <span>At least</span>
          <input class="short" name={prefix + "min"} value={least} placeholder="bytes" aria-invalid={wrong} inputMode="numeric"
            onInput={(event) => type(prefix + "min", event.currentTarget.value)} />
        </label>
      )}
      </>}
      {children}
      <output aria-live="polite">{problem || status}</output>
      <Copies name={name} rows={rows} columns={columns} />
    </div>
  );
}

function Copies<T>({ name, rows, columns }: { name: string; rows: T[]; columns: Column<T>[] }) {
  const [said, say] = useState("");
  const take = async (form: Form) => {
    try {
      await copy(write(form, rows, columns));
      say(`Copied as ${form}`);
    } catch (cause) {
      say(cause instanceof Error ? cause.message : String(cause));
    }
    setTimeout(() => say(""), 4000);
  };
  return (
    <details class="menu">
      <summary>Copy or save</summary>
      <div class="choices" role="group" aria-label={`Copy or save the table of ${name}`}>
        {forms.map((form) => (
          <button type="button" onClick={() => void take(form)}>Copy as {form}</button>
        ))}
        {forms.map((form) => (
          <button type="button" onClick={() => save(name, form, write(form, rows, columns))}>Save as {form}</button>
        ))}
        <output aria-live="polite">{said}</output>
      </div>
    </details>
  );
}
