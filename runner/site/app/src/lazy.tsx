// Views whose code is loaded when they are first shown.
import type { ComponentType } from "preact";
import { Loaded } from "site/loaded";

let views = 0;

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  const of = `view ${views++}`;
  return (props: P) => <Loaded of={of} load={async () => ({ View: await load() })}>{({ View }) => <View {...props} />}</Loaded>;
}
