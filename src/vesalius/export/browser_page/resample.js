/**
 * Resampling axis by axis, for grids whose axes are parallel, as in vesalius.transform.
 *
 * Sources: Unser, IEEE Signal Processing Magazine 16(6), 1999 (cubic B-spline); vesalius.transform.kernels.
 */

import { stridesOf } from "./arrays.js";
import { coarseAxis } from "./grid.js";

const NEAR = 1e-6; // distances below this, in voxels, are rounding errors of the affines
const POLE = Math.sqrt(3) - 2;
const REACH = 14; // the prefilter falls by |POLE| a sample, and 0.268 ** 14 is below a float32's rounding

/** Where the points of a target axis lie on the source axis, in its indices; both are centred on the same point. */
export function placesAlong(axis, source, target) {
  // The grids' axes are parallel, so that one row of the affine between them says it all.
  const away = [0, 1, 2].slice(0, source.shape.length).map((r) => {
    const centre = (grid) =>
      grid.affine[r].reduce((sum, a, k) => sum + (k < grid.shape.length ? (a * (grid.shape[k] - 1)) / 2 : a), 0);
    return centre(target) - centre(source);
  });
  const along = source.affine.slice(0, -1).map((row) => row[axis]);
  const length = Math.hypot(...along);
  const step = Math.hypot(...target.affine.slice(0, -1).map((row) => row[axis])) / length;
  const offset = along.reduce((sum, a, r) => sum + a * away[r], 0) / length ** 2;
  const middle = (target.shape[axis] - 1) / 2;
  return Float64Array.from(
    { length: target.shape[axis] },
    (_, n) => (source.shape[axis] - 1) / 2 + offset + step * (n - middle),
  );
}

/** Whether a place lies inside the extent of an axis, the outer half voxels and their border included. */
export function within(at, length) {
  return at >= -0.5 - NEAR && at <= length - 0.5 + NEAR;
}

/**
 * The source samples and weights that make each target of one axis: `{first, width, weights}`, target n being the sum
 * of `weights[n * width + t] * source[first[n] + t]`.
 */
export function taps(places, length, kind) {
  const at = Float64Array.from(places, (x) => {
    const inside = Math.min(Math.max(x, 0), length - 1);
    const whole = Math.round(inside);
    return Math.abs(inside - whole) < NEAR ? whole : inside;
  });
  if (kind === "nearest" || at.every(Number.isInteger)) {
    const first = Int32Array.from(at, (x) => Math.floor(x + 0.5 + NEAR));
    return { first, width: 1, weights: new Float64Array(at.length).fill(1) };
  }
  if (kind === "linear") {
    const first = Int32Array.from(at, (x) => Math.min(Math.floor(x), length - 2));
    const weights = new Float64Array(2 * at.length);
    at.forEach((x, n) => {
      weights[2 * n] = 1 - (x - first[n]);
      weights[2 * n + 1] = x - first[n];
    });
    return { first, width: 2, weights };
  }
  return banded(at, length, splineOf);
}

/** Weights of the samples around a place: four of the B-spline, each of them spread by the prefilter. */
function splineOf(x, add) {
  const low = Math.floor(x);
  for (let sample = low - 1; sample <= low + 2; sample++) {
    const away = Math.abs(x - sample);
    const spline = away < 1 ? 2 / 3 - away ** 2 + away ** 3 / 2 : Math.max(2 - away, 0) ** 3 / 6;
    for (let k = -REACH; k <= REACH; k++) add(sample + k, spline * RESPONSE[k + REACH]);
  }
}

const RESPONSE = (() => {
  const raw = Array.from({ length: 2 * REACH + 1 }, (_, n) => POLE ** Math.abs(n - REACH));
  const total = raw.reduce((sum, x) => sum + x, 0);
  return raw.map((x) => x / total);
})();

/** Gather weights, mirrored about the first and the last sample, into rows of one width. */
function banded(at, length, weigh) {
  const period = Math.max(2 * length - 2, 1);
  const fold = (index) => {
    const n = Math.abs(index) % period;
    return length > 1 ? Math.min(n, period - n) : 0;
  };
  const rows = Array.from(at, (x) => {
    const row = new Map();
    weigh(x, (index, weight) => row.set(fold(index), (row.get(fold(index)) ?? 0) + weight));
    return row;
  });
  const lows = rows.map((row) => Math.min(...row.keys()));
  const width = Math.max(...rows.map((row, n) => Math.max(...row.keys()) - lows[n] + 1));
  const first = Int32Array.from(lows, (low) => Math.min(low, length - width));
  const weights = new Float64Array(rows.length * width);
  rows.forEach((row, n) => row.forEach((weight, index) => (weights[n * width + index - first[n]] += weight)));
  return { first, width, weights };
}

/** Apply the taps of one axis. Returns `{array, shape}`, the array float32 (or of its own type when only copied). */
export function along(array, shape, axis, { first, width, weights }) {
  const inner = stridesOf(shape)[axis];
  const length = shape[axis];
  const outer = array.length / (inner * length);
  const made = [...shape];
  made[axis] = first.length;
  const kind = width === 1 ? array.constructor : Float32Array;
  const result = new kind(outer * first.length * inner);
  const line = new Float64Array(inner);
  for (let o = 0; o < outer; o++)
    for (let n = 0; n < first.length; n++) {
      const to = (o * first.length + n) * inner;
      const from = (o * length + first[n]) * inner;
      if (width === 1) {
        result.set(array.subarray(from, from + inner), to);
        continue;
      }
      line.fill(0);
      for (let t = 0; t < width; t++) {
        const weight = weights[n * width + t];
        const row = from + t * inner;
        for (let k = 0; k < inner; k++) line[k] += weight * array[row + k];
      }
      result.set(line, to);
    }
  return { array: result, shape: made };
}

/** Put an array onto another grid whose axes are parallel; the axis through thick slices takes the nearest. */
export function resampled(array, source, target, kind, { throughPlane = kind } = {}) {
  let coarse = coarseAxis(source);
  if (coarse < 0) coarse = coarseAxis(target);
  const every = source.shape.map((length, axis) =>
    taps(placesAlong(axis, source, target), length, axis === coarse ? throughPlane : kind),
  );
  // Axes that lose samples go first: less is left for the others.
  const gain = (axis) => target.shape[axis] / source.shape[axis];
  const order = source.shape.map((_, axis) => axis).sort((a, b) => gain(a) - gain(b));
  let now = { array, shape: source.shape };
  for (const axis of order) now = along(now.array, now.shape, axis, every[axis]);
  return now.array;
}
