// The ranges of axes, and the marks of logarithmic ones, which have the places that the figures of the reports give them.
import type uPlot from "uplot";

/** around leaves room around points, so that none is cut. */
export const around: uPlot.Scale.Range = (_, min, max) => {
  if (min === null || max === null) return [null, null];
  const room = 0.05 * (max - min) || 0.1 * Math.abs(max) || 1;
  return [min - room, max + room];
};

/** aroundLog leaves room around points on a logarithmic axis, which otherwise starts and ends at powers of ten. */
export const aroundLog: uPlot.Scale.Range = (_, min, max) => {
  if (min === null || max === null || !(min > 0)) return [null, null];
  const room = Math.max(Math.pow(max / min, 0.05), 1.02);
  return [min / room, max * room];
};

/** A mark of an axis; those between the ones with numbers have only a line. */
interface Mark {
  value: number;
  numbered: boolean;
}

/** The marks with numbers of a decade: as many as there is room for. */
const decade = [[1, 2, 3, 5], [1, 2, 5], [1]];

/** logMarks returns the marks of a logarithmic axis with room for a number of them. */
export function logMarks(low: number, high: number, most: number): Mark[] {
  const decades = Math.log10(high / low);
  if (decades < 0.65) return even(low, high, most);
  const room = decades / most;
  const numbered = decade.find((of) => Math.min(...of.map((m, i) => Math.log10((of[i + 1] ?? 10) / m))) >= room) ?? [1];
  const every = Math.max(1, Math.ceil(room));
  const marks: Mark[] = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.log10(high); exponent++) {
    for (let m = 1; m < 10; m++) {
      const value = Number(`${m}e${exponent}`);
      if (value >= low && value <= high) marks.push({ value, numbered: numbered.includes(m) && exponent % every === 0 });
    }
  }
  return marks;
}

/** even returns marks at multiples of a step, for a range of less than a decade. They are closest at its upper end. */
function even(low: number, high: number, most: number): Mark[] {
  const least = (high * Math.log(high / low)) / most;
  const power = Math.floor(Math.log10(least));
  const step = [1, 2, 2.5, 5, 10].map((m) => Number(`${m}e${power}`)).find((s) => s >= least)!;
  const marks: Mark[] = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) marks.push({ value: Number((i * step).toPrecision(12)), numbered: true });
  return marks;
}

/** logarithmic makes an axis logarithmic, whose numbers need a space. Lines cross the plot at the numbers only. */
export function logarithmic(axis: uPlot.Axis, space: number, length: (u: uPlot) => number): uPlot.Axis {
  let marks: Mark[] = [];
  const filter: uPlot.Axis.Filter = (_, splits) => splits.map((v, i) => (marks[i]?.numbered ? v : null));
  return {
    ...axis,
    splits: (u, _axis, low, high) => {
      marks = logMarks(low, high, Math.max(2, Math.floor(length(u) / space)));
      return marks.map((m) => m.value);
    },
    filter,
    grid: { ...axis.grid, filter },
  };
}
