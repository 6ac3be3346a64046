// Reading of Parquet files by range: only the pages that are needed.
import { parquetMetadataAsync, parquetRead, parquetReadObjects, parquetSchema, type AsyncBuffer, type Compressors, type FileMetaData } from "hyparquet";
import { decompress } from "fzstd";
import { get, LoadError, once, role, withoutRanges } from "site/load";
import type { File } from "site/manifest";

// The library is several times slower if it is given the memory for its output.
const compressors: Compressors = { ZSTD: (input) => decompress(input) };

// A byte order mark is a part of the text: without it all later positions of bytes would be wrong.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const parsers = { stringFromBytes: (bytes: Uint8Array | undefined) => bytes && decoder.decode(bytes) };

/** How much of the end of a file the first request reads: the footer of most tables. */
const tail = 64 << 10;

/** The largest request. */
const most = 1 << 20;

/** A row; its columns are as in the file, except that 64-bit integers are numbers. */
export type Row = Record<string, unknown>;

/** A Parquet file whose footer was read. */
export interface Table {
  path: string;
  rows: number;
  /** Reads rows of some columns. */
  read(options: { columns?: string[]; start?: number; end?: number; filter?: Record<string, unknown> }): Promise<Row[]>;
  /** Reads numbers of some columns: many rows without an object for each. */
  numbers<K extends string>(columns: K[], rows: { start: number; end: number }): Promise<Record<K, Float64Array>>;
  columns: string[];
}

/** open reads the footer of a file. bytes is its size if the manifest says it. */
export function open(path: string, bytes?: number): Promise<Table> {
  return once(path, async () => {
    const file = await buffer(path, bytes);
    return explained(path, async () => table(path, file, await parquetMetadataAsync(file, { parsers })));
  });
}

/** whole reads all rows of a table of an entry. */
export function whole<T>(entry: { id: string; files: Record<string, File> }, name: string): Promise<T[]> {
  const file = role(entry, name);
  return once("all of " + file.path, async () => (await (await open(file.path, file.bytes)).read({})) as unknown as T[]);
}

function table(path: string, file: AsyncBuffer, metadata: FileMetaData): Table {
  const columns = parquetSchema(metadata).children.map((child) => child.element.name);
  // All columns are read by range: only the pages that have the rows.
  const options = { file, metadata, compressors, parsers, useOffsetIndex: true };
  return {
    path,
    rows: Number(metadata.num_rows),
    columns,
    read: ({ columns, start, end, filter }) =>
      explained(path, async () => {
        const rows = await parquetReadObjects({
          ...options,
          usePageIndex: filter !== undefined,
          ...(columns && { columns }),
          ...(start !== undefined && { rowStart: start }),
          ...(end !== undefined && { rowEnd: end }),
          // Numbers are compared with 64-bit integers.
          ...(filter && { filter: filter as never, filterStrict: false }),
        });
        for (const row of rows) for (const key in row) if (typeof row[key] === "bigint") row[key] = Number(row[key]);
        return rows;
      }),
    numbers: (columns, { start, end }) =>
      explained(path, async () => {
        const found = Object.fromEntries(columns.map((c) => [c, new Float64Array(end - start)])) as Record<(typeof columns)[number], Float64Array>;
        await parquetRead({
          ...options, columns, rowStart: start, rowEnd: end,
          // A chunk may have more rows than those that were asked for.
          onChunk: ({ columnName, columnData, rowStart }) => {
            const to = found[columnName as (typeof columns)[number]];
            const last = Math.min(columnData.length, end - rowStart);
            for (let i = Math.max(0, start - rowStart); i < last; i++) to[rowStart + i - start] = Number(columnData[i]);
          },
        });
        return found;
      }),
  };
}

/** explained adds the file and what to do to the errors of the library. */
async function explained<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof LoadError) throw cause;
    throw new LoadError(path, `it is not an intact Parquet file (${cause instanceof Error ? cause.message : String(cause)}). Export the site again`);
  }
}

/** buffer reads the end of a file, which tells its size and whether the server has ranges. */
async function buffer(path: string, bytes?: number): Promise<AsyncBuffer> {
  const response = await get(path, `bytes=-${tail}`);
  const data = await response.arrayBuffer();
  const total = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1];
  const whole = response.status !== 206 || total === undefined;
  const size = whole ? data.byteLength : Number(total);
  if (bytes !== undefined && size !== bytes) throw new LoadError(path, `it has ${size} of ${bytes} bytes: it was cut. Copy the site again`);
  if (whole) withoutRanges.value = true;
  const offset = size - data.byteLength;
  return {
    byteLength: size,
    slice(start, end = size) {
      const known = start - offset;
      if (known >= 0) return data.slice(known, end - offset);
      return part(path, start, end);
    },
  };
}

/** part requests bytes [start, end), in requests of bounded size. */
async function part(path: string, start: number, end: number): Promise<ArrayBuffer> {
  const requests: Promise<ArrayBuffer>[] = [];
  for (let at = start; at < end; at += most) requests.push(request(path, at, Math.min(at + most, end)));
  const parts = await Promise.all(requests);
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(end - start);
  let at = 0;
  for (const p of parts) {
    all.set(new Uint8Array(p), at);
    at += p.byteLength;
  }
  return all.buffer;
}

async function request(path: string, start: number, end: number): Promise<ArrayBuffer> {
  const response = await get(path, `bytes=${start}-${end - 1}`);
  const data = await response.arrayBuffer();
  const given = response.status === 206 ? data : data.slice(start, end);
  if (given.byteLength !== end - start) throw new LoadError(path, `bytes ${start} to ${end} were cut after ${given.byteLength}`);
  return given;
}
