// Keys: what they do everywhere, and the list of them that "?" shows.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** A key and what it does on the current page. */
export interface Key {
  key: string;
  does: string;
  run(): void;
}

const layers = signal<Key[][]>([]);
export const helpIsOpen = signal(false);

/** useKeys adds keys while a component is shown. */
export function useKeys(keys: Key[]): void {
  useEffect(() => {
    layers.value = [...layers.value, keys];
    return () => void (layers.value = layers.value.filter((l) => l !== keys));
  });
}

function edits(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");
}

/** listen handles the keys of all components. */
export function listen(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && edits(event.target)) return (event.target as HTMLElement).blur();
    if (edits(event.target)) return;
    if (event.key === "?") {
      event.preventDefault();
      helpIsOpen.value = !helpIsOpen.value;
      return;
    }
    if (helpIsOpen.value) return;
    for (const keys of [...layers.peek()].reverse()) {
      const found = keys.find((k) => k.key === event.key);
      if (!found) continue;
      event.preventDefault();
      return found.run();
    }
  });
}

const tables: [string, string][] = [
  ["↑ ↓ or k j", "rows of the focused table"],
  ["Enter", "open the row"],
  ["Tab", "the next control"],
];

/** Help lists the keys in a dialog. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = helpIsOpen.value;
  useEffect(() => {
    if (open && !dialog.current!.open) dialog.current!.showModal();
    if (!open && dialog.current!.open) dialog.current!.close();
  }, [open]);
  const keys = layers.value.flat();
  const rows: [string, string][] = [["?", "this list"], ...keys.map((k): [string, string] => [k.key, k.does]), ...tables];
  return (
    <dialog ref={dialog} aria-label="Keys" onClose={() => (helpIsOpen.value = false)}>
      <h2>Keys</h2>
      <table class="plain">
        <tbody>
          {rows.map(([key, does]) => (
            <tr>
              <th scope="row"><kbd>{key}</kbd></th>
              <td>{does}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <button type="button" onClick={() => (helpIsOpen.value = false)}>Close</button>
    </dialog>
  );
}
