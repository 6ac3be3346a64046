// Content that has to be loaded first, and notices of what could not be.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { LoadError } from "site/load";

type State<T> = { key: string; value: T } | { key: string; error: unknown } | { key: string };

/** Loaded shows what a value is needed for, once it is there. It loads again when the key changes. */
export function Loaded<T>({ of, load, children }: { of: string; load: () => Promise<T>; children: (value: T) => ComponentChildren }) {
  const [state, setState] = useState<State<T>>({ key: of });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let current = true;
    const loading = Promise.resolve().then(load);
    loading.then((value) => current && setState({ key: of, value }), (error: unknown) => current && setState({ key: of, error }));
    return () => void (current = false);
  }, [of, attempt]);
  if (state.key === of && "value" in state) return <>{children(state.value)}</>;
  if (state.key === of && "error" in state) {
    return (
      <Notice title="Something could not be loaded" error={state.error}>
        <button type="button" onClick={() => { setState({ key: of }); setAttempt(attempt + 1); }}>Try again</button>
      </Notice>
    );
  }
  return <p class="loading" aria-live="polite">Loading…</p>;
}

/** Notice says what could not be loaded and why. */
export function Notice({ title, error, children }: { title: string; error?: unknown; children?: ComponentChildren }) {
  return (
    <div class="notice" role="alert">
      <strong>{title}</strong>
      {error instanceof LoadError ? <p><code>{error.path}</code>: {error.reason}.</p> : error !== undefined && <p>{error instanceof Error ? error.message : String(error)}</p>}
      {children}
    </div>
  );
}
