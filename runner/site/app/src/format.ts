// Numbers for people, as the reports write them.

const none = "–";
const grouped = new Intl.NumberFormat("en-US");

export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? none : grouped.format(n);
}

export function decimal(x: number | null | undefined, digits = 4): string {
  if (x === null || x === undefined) return none;
  return Math.abs(x) < 1000 ? x.toFixed(digits) : x.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** signed writes a gap. */
export function signed(x: number | null | undefined, digits = 4): string {
  if (x === null || x === undefined) return none;
  return (x < 0 || Object.is(x, -0) ? "" : "+") + decimal(x, digits);
}

export function interval(low: number | null | undefined, high: number | null | undefined, digits = 4): string {
  if (low === null || low === undefined || high === null || high === undefined) return none;
  return `[${signed(low, digits)}, ${signed(high, digits)}]`;
}

export function probability(p: number | null | undefined): string {
  if (p === null || p === undefined) return none;
  return p < 0.0001 ? "<0.0001" : p.toFixed(4);
}

export function bits(x: number | null | undefined): string {
  return signed(x, 1);
}

export function percent(x: number | null | undefined, digits = 1): string {
  return x === null || x === undefined ? none : (100 * x).toFixed(digits) + "%";
}

/** size writes bytes of text with a unit. */
export function size(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return none;
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(bytes < 1e4 ? 1 : 0)} kB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** plural writes a number and the noun in its form. */
export function plural(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** counted writes a number and a noun that is given in the plural: "1 dataset" of "datasets". */
export function counted(n: number, plural: string): string {
  return `${count(n)} ${n === 1 ? plural.replace(/^(\S+?)s\b/, "$1") : plural}`;
}

/** sizeOf describes a model by its number of parameters, if that is known. */
export function sizeOf(m: { parameters?: number; activeParameters?: number }): string {
  if (!m.parameters) return "";
  return `${count(m.parameters)} parameters${m.activeParameters ? `, of which a token uses ${count(m.activeParameters)}` : ""}`;
}

/** visible shows white space and controls. The sign of the reports for a space is missing in many fonts. */
export function visible(text: string): string {
  return ordered(text).replace(/[ \n\t\r␠]/g, (c) => ({ "\n": "⏎", "\t": "⇥", "\r": "↵" })[c] ?? "␣");
}

/** The controls of the direction of text, which would show it in another order than it has. */
const directions = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** codes names the controls of the direction of a text by their numbers. */
export function codes(text: string): string[] {
  return (text.match(directions) ?? []).map((c) => "U+" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0"));
}

/** ordered replaces each control of the direction of text by one visible character: where it starts a direction by an arrow. */
export function ordered(text: string): string {
  return text.replace(directions, (c) => ("\u200e\u202a\u202d\u2066".includes(c) ? "⇢" : "\u061c\u200f\u202b\u202e\u2067".includes(c) ? "⇠" : c === "\u2068" ? "⇿" : "⇡"));
}
