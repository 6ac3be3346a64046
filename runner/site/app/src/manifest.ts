// The manifest of a site: what site.json says.

/** A file of the site. Its path is relative to site.json. */
export interface File {
  path: string;
  bytes: number;
}

/** The part of a gap's row of everything that the overview shows. */
export interface Entry {
  /** The stable address: experiment/kind/name. */
  id: string;
  experiment: string;
  kind: string;
  name: string;
  /** A digest of what is published. */
  version: string;
  /** The key of the result in the store; "" if the page is made of several. */
  key: string;
  tags?: string[] | null;
  title: string;
  /** What the kind says of itself on the overview. */
  headline: unknown;
  files: Record<string, File>;
}

export interface Model {
  name: string;
  family?: string;
  parameters?: number;
  /** Those that a token uses, if they are fewer. */
  activeParameters?: number;
  tokenizer?: string;
  backend?: string;
}

export interface Run {
  id: string;
  started?: string;
  state?: string;
}

export interface Experiment {
  name: string;
  description?: string;
  runs?: Run[] | null;
  models?: Model[] | null;
  datasetCount?: number;
}

export interface Manifest {
  format: number;
  generator: string;
  title: string;
  text: "all" | "sampled" | "none";
  experiments: Experiment[];
  entries: Entry[];
}

/** The format that these pages read. */
export const format = 1;
