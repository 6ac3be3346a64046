// A table of any length: sorted, searched and filtered by the address, of which only the visible rows are drawn.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { sorted, textOf, type Column } from "site/columns";
import { Controls } from "site/controls";
import { go, param, set } from "site/route";
import { bytes, search, searchable } from "site/search";
import { count, counted, signed } from "site/format";

export interface TableProps<T> {
  /** What the rows are, in the plural: "datasets". */
  name: string;
  rows: T[];
  columns: Column<T>[];
  /** The column of the first sort, "-key" from the largest. */
  sort: string;
  /** What search looks in. */
  words?(row: T): string;
  /** The size that the filter compares. */
  bytes?(row: T): number;
  /** Rows that are folded at the end, and why. Where bits are summed, it is said how many of all are in them. */
  folded?: { is(row: NoInfer<T>): boolean; why: string; sum?(row: NoInfer<T>): number };
  /** A row about all others, which is first in every order. It is not searched. */
  total?: NoInfer<T> | undefined;
  /** The address that a row leads to. */
  href?(row: T): string | null;
  /** Distinguishes the parameters of several tables of a page. */
  prefix?: string;
  /** What is said where there are no rows at all. */
  none?: string;
  /** More filters. */
  children?: ComponentChildren;
}

const height = 33;
/** Tables up to this length have no search. */
const few = 4;
/** Tables up to this length are drawn whole. */
const whole = 100;
const margin = 12;

export function Table<T>(props: TableProps<T>) {
  const { rows, columns, prefix = "" } = props;
  const by = param(prefix + "sort") || props.sort;
  const typed = param(prefix + "search");
  const expression = param(prefix + "regexp") === "1";
  const least = bytes(param(prefix + "min")) ?? 0;
  const unfolded = param(prefix + "small") === "1";
  const looked = useMemo(() => search(typed, expression), [typed, expression]);
  // A key of a search only filters: the rows are sorted and their texts are known before.
  const ordered = useMemo(() => sorted(rows, columns, by).map((row) => ({ row, text: searchable(props.words?.(row) ?? textOf(columns[0]!, row)) })), [rows, by]);
  const { shown, folded } = useMemo(() => {
    const found: { shown: T[]; folded: T[] } = { shown: [], folded: [] };
    for (const { row, text } of ordered) {
      if (!looked.matches(text) || (least > 0 && props.bytes && props.bytes(row) < least)) continue;
      (props.folded?.is(row) ? found.folded : found.shown).push(row);
    }
    return found;
  }, [ordered, looked, least]);
  const found = unfolded || shown.length === 0 ? [...shown, ...folded] : shown;
  const first = props.total !== undefined && typed === "" && least === 0 ? [props.total] : [];
  const drawn = first.length > 0 ? [...first, ...found] : found;
  return (
    <section class="table" aria-label={props.name}>
      <Controls
        few={rows.length <= few && typed === "" && least === 0}
        prefix={prefix} name={props.name} search={looked} sized={props.bytes !== undefined} rows={drawn} columns={columns}
        status={found.length === rows.length ? counted(rows.length, props.name) : `${count(found.length)} of ${count(rows.length)} ${props.name}`}
      >
        {props.children}
      </Controls>
      {folded.length > 0 && props.folded!.sum && <p class="hint">{folding(props.name, folded, ordered.map((o) => o.row), props.folded!.sum)}</p>}
      <Rows {...props} columns={columns.filter((c) => !c.data)} rows={drawn} none={rows.length > 0 ? `No ${props.name} match.` : (props.none ?? `There are no ${props.name}.`)} by={by} prefix={prefix} small={first.length + shown.length} />
      {folded.length > 0 && shown.length > 0 && (
        <button type="button" class="fold" aria-expanded={unfolded} onClick={() => set({ [prefix + "small"]: unfolded ? null : 1 })}>
          {unfolded ? "Fold" : "Show"} {counted(folded.length, props.name)}: {props.folded!.why}
        </button>
      )}
    </section>
  );
}

/** folding says how much of a sum is in rows that are folded, which may be most of it. */
function folding<T>(name: string, folded: T[], all: T[], sum: (row: T) => number): string {
  const total = (rows: T[]) => signed(rows.reduce((t, r) => t + sum(r), 0), 0);
  return `${counted(folded.length, name)} too small to tell: ${total(folded)} bits of ${total(all)}`;
}

interface RowsProps<T> extends TableProps<T> {
  by: string;
  prefix: string;
  /** Rows from here on are folded ones. */
  small: number;
}

function Rows<T>({ name, rows, none, columns, by, prefix, href, folded, small, total }: RowsProps<T>) {
  const box = useRef<HTMLDivElement>(null);
  const [from, to] = useVisible(box, rows.length);
  const active = useRef(-1);
  const step = (event: KeyboardEvent) => {
    const moves: Record<string, number> = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 15, PageUp: -15, Home: -rows.length, End: rows.length };
    const move = moves[event.key];
    if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    active.current = Math.max(0, Math.min(rows.length - 1, active.current + move));
    show(box.current!, active.current);
  };
  const span = columns.length;
  return (
    <div class={rows.length <= whole ? "scroll whole" : "scroll"} ref={box} tabIndex={0} role="group" aria-label={`Table of ${name}; arrow keys move between rows`} onKeyDown={step}>
      <table aria-rowcount={rows.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((c) => (
              <Heading column={c} by={by} prefix={prefix} />
            ))}
          </tr>
        </thead>
        <tbody>
          {from > 0 && <Spacer rows={from} span={span} />}
          {rows.slice(from, to).map((row, i) => (
            <tr key={from + i} data-row={from + i} aria-rowindex={from + i + 2} class={folded && from + i >= small ? "small" : row === total ? "total" : undefined}
              onFocusIn={() => (active.current = from + i)}>
              {columns.map((c, k) => (
                <Cell column={c} row={row} first={k === 0} href={k === 0 && row !== total ? href?.(row) : undefined} />
              ))}
            </tr>
          ))}
          {to < rows.length && <Spacer rows={rows.length - to} span={span} />}
        </tbody>
      </table>
      {rows.length === 0 && <p class="empty">{none}</p>}
    </div>
  );
}

function Heading<T>({ column, by, prefix }: { column: Column<T>; by: string; prefix: string }) {
  const down = by === "-" + column.key;
  const up = by === column.key;
  const other = column.number ? "-" + column.key : column.key;
  const next = down ? column.key : up ? "-" + column.key : other;
  return (
    <th scope="col" class={column.number ? "number" : undefined} aria-sort={down ? "descending" : up ? "ascending" : "none"}>
      {column.drawing ? (
        <span class="heading" title={column.help}>{column.title}</span>
      ) : (
        <button type="button" class="heading" title={column.help} onClick={() => set({ [prefix + "sort"]: next })}>
          {column.title}
          <span class="arrow" aria-hidden="true">{down ? "▼" : up ? "▲" : ""}</span>
          {column.unit && <small>{column.unit}</small>}
        </button>
      )}
    </th>
  );
}

function Cell<T>({ column, row, first, href }: { column: Column<T>; row: T; first: boolean; href?: string | null | undefined }) {
  const text = column.cell ? column.cell(row) : first ? <Name of={textOf(column, row)} /> : textOf(column, row);
  const content = href ? <Link href={href}>{text}</Link> : text;
  const kind = column.number ? "number" : column.drawing ? "drawing" : undefined;
  return first ? (
    <th scope="row" class={kind} title={textOf(column, row)}>{content}</th>
  ) : (
    <td class={kind} title={column.cell && !column.drawing ? textOf(column, row) : undefined}>{content}</td>
  );
}

/** A name, which a narrow screen breaks after a sign between words. */
export function Name({ of }: { of: string }) {
  return <>{of.split(/(?<=[/_.:-])(?=\w)/).map((part, i) => (i === 0 ? part : <><wbr />{part}</>))}</>;
}

/** A link within the site. Other clicks than a plain one are the browser's. */
export function Link({ href, children, ...rest }: { href: string; children: ComponentChildren; class?: string; "aria-current"?: "page" | undefined; title?: string }) {
  return (
    <a href={href} {...rest} onClick={(event) => {
        if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        go(href);
      }}>
      {children}
    </a>
  );
}

function Spacer({ rows, span }: { rows: number; span: number }) {
  return (
    <tr aria-hidden="true">
      <td class="spacer" colSpan={span} height={rows * height} />
    </tr>
  );
}

/** useVisible returns the range of rows to draw: those in sight and some around them, and all of them on paper. */
function useVisible(box: { current: HTMLDivElement | null }, rows: number): [number, number] {
  const [range, setRange] = useState<[number, number]>([0, whole]);
  useEffect(() => {
    const element = box.current!;
    const update = () => {
      const from = Math.max(0, Math.floor(element.scrollTop / height) - margin);
      const to = Math.ceil((element.scrollTop + element.clientHeight) / height) + margin;
      setRange((old) => (old[0] === from && old[1] === to ? old : [from, to]));
    };
    const all = () => setRange([0, Infinity]);
    update();
    const sizes = new ResizeObserver(update);
    sizes.observe(element);
    element.addEventListener("scroll", update, { passive: true });
    addEventListener("beforeprint", all);
    addEventListener("afterprint", update);
    return () => {
      sizes.disconnect();
      element.removeEventListener("scroll", update);
      removeEventListener("beforeprint", all);
      removeEventListener("afterprint", update);
    };
  }, []);
  if (rows <= whole) return [0, rows];
  return [Math.min(range[0], Math.max(0, rows - whole)), Math.min(range[1], rows)];
}

/** show scrolls to a row and focuses its link, after it is drawn. */
function show(box: HTMLElement, row: number): void {
  const head = box.querySelector("thead")!.clientHeight;
  const top = row * height;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + height + head > box.scrollTop + box.clientHeight) box.scrollTop = top + height + head - box.clientHeight;
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      const element = box.querySelector<HTMLElement>(`[data-row="${row}"]`);
      const target = element?.querySelector<HTMLElement>("a") ?? element;
      if (target && target.tabIndex < 0) target.tabIndex = -1;
      target?.focus({ preventScroll: true });
    }),
  );
}
