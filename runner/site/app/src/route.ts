// The address: it holds the whole state of the page, so that a link restores it and Back undoes.
import { signal } from "@preact/signals";

/** A place in the site: the parts of a path and the parameters of a view. */
export interface Route {
  path: string[];
  params: URLSearchParams;
}

function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { path: path.split("/").filter(Boolean).map(decoded), params: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The current place. */
export const route = signal(parse(location.hash));

addEventListener("popstate", () => (route.value = parse(location.hash)));
addEventListener("hashchange", () => (route.value = parse(location.hash)));

/** href returns the address of a path, such as the id of an entry and a tab, with parameters. Empty ones are left out. */
export function href(path: string, params: Record<string, string | number | null | undefined> = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value !== null && value !== undefined && value !== "") query.set(key, String(value));
  const text = query.toString();
  return "#/" + path.split("/").map(encodeURIComponent).join("/") + (text ? "?" + text : "");
}

/** go opens an address as a new step of the history. */
export function go(address: string): void {
  history.pushState(null, "", address);
  route.value = parse(location.hash);
}

/** set changes parameters of the current view, as a new step of the history. */
export function set(changes: Record<string, string | number | null>): void {
  const address = changed(changes);
  if (address !== location.hash) go(address);
}

/** replace changes parameters without a new step, such as a position that follows the scrolling. */
export function replace(changes: Record<string, string | number | null>): void {
  const address = changed(changes);
  if (address === location.hash) return;
  history.replaceState(history.state, "", address);
  route.value = parse(location.hash);
}

/** type changes a parameter by a key of the keyboard. All keys of one word are one step of the history. */
export function type(key: string, value: string): void {
  if ((history.state as { typed?: string } | null)?.typed === key) return replace({ [key]: value });
  history.pushState({ typed: key }, "", changed({ [key]: value }));
  route.value = parse(location.hash);
}

function changed(changes: Record<string, string | number | null>): string {
  return href(route.value.path.join("/"), { ...Object.fromEntries(route.value.params), ...changes });
}

/** param returns a parameter of the current view. */
export function param(key: string): string {
  return route.value.params.get(key) ?? "";
}
