// Light and dark: as the system says until a person chooses.
import { signal } from "@preact/signals";

export type Theme = "light" | "dark";

const key = "surprisal-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(key);
    return value === "light" || value === "dark" ? value : null;
  } catch {
    return null; // The browser forbids storage to this page; the choice then lasts as long as the page.
  }
}

function current(): Theme {
  return stored() ?? (system.matches ? "dark" : "light");
}

export const theme = signal<Theme>(current());
system.addEventListener("change", () => (theme.value = current()));
theme.subscribe((value) => (document.documentElement.dataset.theme = value));

// Paper is white.
let beforePaper: Theme | null = null;
addEventListener("beforeprint", () => {
  beforePaper = theme.value;
  theme.value = "light";
});
addEventListener("afterprint", () => {
  if (beforePaper !== null) theme.value = beforePaper;
  beforePaper = null;
});

export function toggle(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(key, theme.value);
  } catch {
    // As above.
  }
}
