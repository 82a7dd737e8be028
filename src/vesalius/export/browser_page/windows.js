/** A network over an image that is larger than its window: overlapping windows, blended with Gaussian weights. */

import { asThree } from "./arrays.js";
import { roundEven } from "./grid.js";

/** Where the windows begin on one axis. Source: nnU-Net v2, compute_steps_for_sliding_window. */
export function windowStarts(length, window, overlap) {
  const room = Math.max(0, length - window);
  const steps = Math.ceil(room / Math.max(1, window * (1 - overlap)));
  return Array.from({ length: steps + 1 }, (_, k) => roundEven((room * k) / Math.max(1, steps)));
}

/** Each window's share of the weight that all windows of an axis put on a voxel: a float32 line a window. */
function sharesOf(window, starts, sigmaShare) {
  const line = Float64Array.from({ length: window }, (_, n) =>
    Math.exp(-0.5 * ((n - (window - 1) / 2) / (window * sigmaShare)) ** 2),
  );
  const total = new Float64Array(starts.at(-1) + window);
  for (const start of starts) line.forEach((weight, n) => (total[start + n] += weight));
  return starts.map((start) => Float32Array.from(line, (weight, n) => weight / total[start + n]));
}

/** All combinations of axes, the empty one first. */
export function turnsOf(axes) {
  return axes.reduce((found, axis) => [...found, ...found.map((turn) => [...turn, axis])], [[]]);
}

/** How many times the network will run. */
export function countRuns(shape, windows) {
  const places = shape.map((n, k) => windowStarts(n, windows.size[k], windows.overlap).length);
  return places.reduce((product, n) => product * n, 1) * 2 ** windows.mirrorAxes.length;
}

/**
 * The logits of a whole image.
 *
 * `channels` are float32 on `shape`; `run` takes a window (channels x window, float32) and resolves to its logits
 * (outputs x window); `windows` is `{size, overlap, sigmaShare, mirrorAxes, mirroredOutputs}`, the last of which says
 * from which output each is taken where the first axis is mirrored; `progress` is called with (done, all).
 * Returns a float32 array for each output. An image smaller than a window is padded with zeros, cut off again.
 */
export async function slidingWindow(channels, shape, run, outputs, windows, progress = () => {}) {
  const grid = asThree(shape, 1);
  const size = asThree(windows.size, 1);
  const lift = 3 - shape.length;
  const padded = grid.map((n, k) => Math.max(n, size[k]));
  const before = padded.map((n, k) => Math.floor((n - grid[k]) / 2));
  const starts = grid.map((n, k) => windowStarts(n, size[k], windows.overlap));
  const shares = starts.map((at, k) => sharesOf(size[k], at, windows.sigmaShare));
  const turns = turnsOf(windows.mirrorAxes.map((axis) => axis + lift));
  const all = starts.reduce((product, at) => product * at.length, turns.length);
  const logits = Array.from({ length: outputs }, () => new Float32Array(grid[0] * grid[1] * grid[2]));
  let done = 0;
  for (const [a, i] of starts[0].entries())
    for (const [b, j] of starts[1].entries())
      for (const [c, k] of starts[2].entries()) {
        const corner = [i - before[0], j - before[1], k - before[2]];
        const window = cut(channels, grid, corner, size);
        const total = new Float32Array((outputs * window.length) / channels.length);
        for (const turn of turns) {
          const found = mirrored(await run(mirrored(window, size, turn)), size, turn);
          const from = turn.includes(0) ? windows.mirroredOutputs : undefined;
          for (let output = 0, n = 0; output < outputs; output++) {
            let m = (from?.[output] ?? output) * size[0] * size[1] * size[2];
            for (const end = n + size[0] * size[1] * size[2]; n < end; ) total[n++] += found[m++];
          }
          progress(++done, all);
        }
        for (let n = 0; n < total.length; n++) total[n] /= turns.length;
        add(logits, grid, total, corner, size, [shares[0][a], shares[1][b], shares[2][c]]);
      }
  return logits;
}

/** One window; what lies beyond the image is 0. */
function cut(channels, grid, corner, size) {
  const voxels = size[0] * size[1] * size[2];
  const window = new Float32Array(channels.length * voxels);
  const low = Math.max(0, -corner[2]);
  const high = Math.min(size[2], grid[2] - corner[2]);
  channels.forEach((array, channel) =>
    eachRow(grid, corner, size, (from, to) =>
      window.set(array.subarray(from + low, from + high), channel * voxels + to + low),
    ),
  );
  return window;
}

/** Add a window's logits, each weighted with its share. */
function add(logits, grid, window, corner, size, [slow, middle, fast]) {
  const voxels = size[0] * size[1] * size[2];
  const low = Math.max(0, -corner[2]);
  const high = Math.min(size[2], grid[2] - corner[2]);
  logits.forEach((array, output) =>
    eachRow(grid, corner, size, (to, from, i, j) => {
      const across = Math.fround(slow[i] * middle[j]);
      for (let k = low; k < high; k++)
        array[to + k] += window[output * voxels + from + k] * Math.fround(across * fast[k]);
    }),
  );
}

/** For each row of a window that lies in the image: where it begins there, and in the window. */
function eachRow(grid, corner, size, work) {
  for (let i = Math.max(0, -corner[0]); i < Math.min(size[0], grid[0] - corner[0]); i++)
    for (let j = Math.max(0, -corner[1]); j < Math.min(size[1], grid[1] - corner[1]); j++)
      work(((corner[0] + i) * grid[1] + corner[1] + j) * grid[2] + corner[2], (i * size[1] + j) * size[2], i, j);
}

/** A window, channel by channel, with some axes reversed. */
function mirrored(window, size, axes) {
  if (axes.length === 0) return window;
  const voxels = size[0] * size[1] * size[2];
  const made = new Float32Array(window.length);
  const at = size.map((n, k) => Int32Array.from({ length: n }, (_, m) => (axes.includes(k) ? n - 1 - m : m)));
  for (let first = 0, to = 0; first < window.length; first += voxels)
    for (let i = 0; i < size[0]; i++)
      for (let j = 0; j < size[1]; j++) {
        const from = first + (at[0][i] * size[1] + at[1][j]) * size[2];
        for (let k = 0; k < size[2]; k++) made[to++] = window[from + at[2][k]];
      }
  return made;
}
