// Loading of files, with errors that say which file and why.
import { signal } from "@preact/signals";
import type { File } from "site/manifest";

/** What could not be loaded, and why, for the person who reads the page. */
export class LoadError extends Error {
  constructor(
    readonly path: string,
    readonly reason: string,
  ) {
    super(`${path} could not be loaded: ${reason}`);
  }
}

/** Whether the server answered a request for a part of a file with all of it. */
export const withoutRanges = signal(false);

const base = new URL(".", document.baseURI);

/** get requests a file, or a part of it, and refuses every answer other than success. */
export async function get(path: string, range?: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(new URL(path, base), range === undefined ? {} : { headers: { Range: range } });
  } catch (cause) {
    throw new LoadError(path, `the server did not answer (${String(cause)}). A page opened from a file can't read files: serve the directory`);
  }
  if (response.status === 404) throw new LoadError(path, "the server has no such file. The site may be incomplete: copy all of it");
  if (!response.ok) throw new LoadError(path, `the server answered ${response.status} ${response.statusText}`);
  return response;
}

const cache = new Map<string, Promise<unknown>>();

/** once calls load unless the same key was loaded before. A failure is not remembered. */
export function once<T>(key: string, load: () => Promise<T>): Promise<T> {
  const known = cache.get(key) as Promise<T> | undefined;
  if (known) return known;
  const loading = load();
  cache.set(key, loading);
  loading.catch(() => cache.delete(key));
  return loading;
}

/** json loads a JSON file whole. */
export function json<T>(file: { path: string; bytes?: number }): Promise<T> {
  return once(file.path, async () => {
    const text = await (await get(file.path)).text();
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      const size = new TextEncoder().encode(text).length;
      const cut = file.bytes !== undefined && size !== file.bytes ? `it has ${size} of ${file.bytes} bytes, so it was cut` : String(cause);
      throw new LoadError(file.path, cut);
    }
  });
}

/** role returns a file of an entry, or explains that it was not published. */
export function role(entry: { id: string; files: Record<string, File> }, name: string): File {
  const file = entry.files[name];
  if (!file) throw new LoadError(`${entry.id}: ${name}`, "it was not published with this site");
  return file;
}
