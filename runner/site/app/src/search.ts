// Search in rows: a substring without regard to case, or a regular expression.

/** A search that a person typed; problem says why it is not one yet. */
export interface Search {
  matches(text: string): boolean;
  problem?: string;
}

const all: Search = { matches: () => true };

export function search(words: string, expression: boolean): Search {
  if (words === "") return all;
  if (!expression) {
    const lower = words.toLowerCase();
    return { matches: (text) => text.toLowerCase().includes(lower) };
  }
  try {
    const pattern = new RegExp(words, "imu");
    return { matches: (text) => pattern.test(text) };
  } catch (cause) {
    return { ...all, problem: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** bytes reads a size such as "2000", "2k" or "1.5 MB"; null if it is none. */
export function bytes(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([km]?)b?\s*$/i.exec(text);
  if (!match) return null;
  return Number(match[1]) * { "": 1, k: 1e3, m: 1e6 }[match[2]!.toLowerCase() as "" | "k" | "m"];
}
