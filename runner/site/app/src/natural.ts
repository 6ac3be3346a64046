// The order of names: numbers in them are in the order of their values, so that w32 is before w128.
const collator = new Intl.Collator("en", { numeric: true });

export const compare = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
