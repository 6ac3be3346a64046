// A bar with its interval, drawn on a scale that all rows share.

/** The fields of a row that a bar shows. */
export interface Interval {
  gap_bpb: number | null;
  gap_low?: number | null;
  gap_high?: number | null;
  verdict?: string;
}

/** certain says whether a gap is beyond doubt: by its verdict, and where there is none, by its interval. */
export function certain(row: Interval): boolean {
  if (row.verdict !== undefined) return row.verdict === "a is worse" || row.verdict === "b is worse";
  return (row.gap_low ?? -1) > 0 || (row.gap_high ?? 1) < 0;
}

/** sideOf is the class of a gap beyond doubt. */
export function sideOf(row: Interval): string | undefined {
  return !certain(row) ? undefined : row.gap_bpb! > 0 ? "worse" : "better";
}

const width = 84;
const height = 20;

/** extent returns the scale for rows: nine tenths of them fit, so that one extreme row does not flatten the others. */
export function extent(rows: Interval[]): number {
  const all = rows.flatMap((r) => [r.gap_bpb, r.gap_low, r.gap_high]).filter((x): x is number => typeof x === "number").map(Math.abs).sort((a, b) => a - b);
  if (all.length === 0) return 1;
  const most = all[all.length - 1]!;
  const many = all[Math.floor(0.9 * (all.length - 1))]!;
  return (most > 3 * many && many > 0 ? 1.5 * many : most) || 1;
}

export function Bar({ row, scale }: { row: Interval; scale: number }) {
  const middle = width / 2;
  const at = (x: number) => middle + Math.max(-1, Math.min(1, x / scale)) * (middle - 3);
  const gap = row.gap_bpb;
  if (gap === null) return null;
  const [low, high] = [row.gap_low ?? gap, row.gap_high ?? gap];
  const x = at(gap);
  return (
    <svg class="bar" width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true" focusable="false">
      <line class="zero" x1={middle} x2={middle} y1={0} y2={height} />
      <rect class={sideOf(row) ?? "unsure"} x={Math.min(middle, x)} y={5} width={Math.max(1, Math.abs(x - middle))} height={10} rx={1} />
      {row.gap_low !== null && row.gap_low !== undefined && (
        <path class="whisker" d={`M${at(low)} 10H${at(high)}M${at(low)} 6V14M${at(high)} 6V14`} />
      )}
      {Math.abs(gap) > scale && <path class="over" d={gap > 0 ? `M${width - 6} 4l5 6l-5 6z` : `M6 4l-5 6l5 6z`} />}
    </svg>
  );
}
