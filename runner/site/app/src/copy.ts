// Tables as CSV, Markdown and LaTeX.
import { textOf, type Column } from "site/columns";

export type Form = "CSV" | "Markdown" | "LaTeX";
export const forms: Form[] = ["CSV", "Markdown", "LaTeX"];
const extensions: Record<Form, string> = { CSV: "csv", Markdown: "md", LaTeX: "tex" };

/** write returns a table in a form: CSV has the values in full, the others what the page shows. */
export function write<T>(form: Form, rows: T[], columns: Column<T>[]): string {
  const kept = columns.filter((c) => !c.drawing && (form === "CSV" || !c.data));
  const head = kept.map((c) => (c.unit ? `${c.title} ${c.unit}` : c.title));
  const body = rows.map((row) => kept.map((c) => textOf(c, row)));
  switch (form) {
    case "CSV":
      return [kept.map((c) => c.key), ...rows.map((row) => kept.map((c) => String(c.value(row) ?? "")))].map((line) => line.map(quoted).join(",") + "\r\n").join("");
    case "Markdown": {
      const line = (cells: string[]) => `| ${cells.map(piped).join(" | ")} |\n`;
      return line(head) + line(kept.map((c) => (c.number ? "---:" : "---"))) + body.map(line).join("");
    }
    case "LaTeX": {
      const line = (cells: string[]) => `${cells.map(escaped).join(" & ")} \\\\\n`;
      const align = kept.map((c) => (c.number ? "r" : "l")).join("");
      return `\\begin{tabular}{${align}}\n\\hline\n${line(head)}\\hline\n${body.map(line).join("")}\\hline\n\\end{tabular}\n`;
    }
  }
}

// A cell that starts like a formula is text for a spreadsheet too.
function quoted(cell: string): string {
  const safe = /^[=+\-@\t\r]/.test(cell) && Number.isNaN(Number(cell)) ? "'" + cell : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function piped(cell: string): string {
  return cell.replace(/[\\|]/g, "\\$&").replace(/\r?\n|\r/g, " ");
}

function escaped(cell: string): string {
  const special: Record<string, string> = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "–": "--" };
  return cell.replace(/[\\~^–]|[&%$#_{}]/g, (c) => special[c] ?? "\\" + c).replace(/[\r\n]+/g, " ");
}

/** copy puts text on the clipboard. Pages that were loaded without TLS lack the modern interface. */
export async function copy(text: string): Promise<void> {
  if (navigator.clipboard) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch {
      // The browser refuses it to this page: the older way below needs no permission.
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("the browser does not let this page use the clipboard: use Save");
}

/** save offers text as a file. */
export function save(name: string, form: Form, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = `${name.replace(/[^\w.-]+/g, "-")}.${extensions[form]}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
