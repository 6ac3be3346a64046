// Columns of tables: what is sorted, shown and copied.
import type { ComponentChildren } from "preact";
import { compare } from "site/natural";

export type Value = string | number | null | undefined;

export interface Column<T> {
  /** The name of the field, as in the files. */
  key: string;
  title: string;
  /** A second line of the heading, for the unit or the side. */
  unit?: string;
  /** What the column means, for a person who points at its heading. */
  help?: string;
  /** The value by which rows are sorted, and which CSV has in full. */
  value(row: T): Value;
  /** The value for people; Markdown and LaTeX have it too. */
  text?(row: T): string;
  /** The content of the cell, if it is more than text. */
  cell?(row: T): ComponentChildren;
  /** Numbers are aligned at the right and sorted from the largest. */
  number?: boolean;
  /** Sorted by the absolute value. */
  absolute?: boolean;
  /** A drawing of other columns, which is not copied. */
  drawing?: boolean;
  /** Data that only CSV has: the other forms and the page show it as part of another column. */
  data?: boolean;
}

export function textOf<T>(column: Column<T>, row: T): string {
  if (column.text) return column.text(row);
  const value = column.value(row);
  return value === null || value === undefined ? "–" : String(value);
}

/** sorted returns rows by a column, "-key" from the largest, those without a value last. */
export function sorted<T>(rows: T[], columns: Column<T>[], by: string): T[] {
  const down = by.startsWith("-");
  const column = columns.find((c) => c.key === (down ? by.slice(1) : by));
  if (!column) return rows;
  const keyed = rows.map((row, i) => {
    const value = column.value(row);
    return { row, i, value: column.absolute && typeof value === "number" ? Math.abs(value) : value };
  });
  const sign = down ? -1 : 1;
  keyed.sort((x, y) => {
    const [a, b] = [x.value, y.value];
    const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
    if (noA || noB) return Number(noA) - Number(noB) || x.i - y.i;
    if (typeof a === "number" && typeof b === "number") return sign * (a - b) || x.i - y.i;
    return sign * compare(String(a), String(b)) || x.i - y.i;
  });
  return keyed.map((k) => k.row);
}
