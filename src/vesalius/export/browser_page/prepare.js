/** From an image as it was read to what the network sees, by the steps of the description. */

import { cropped, turned } from "./arrays.js";
import { cropGrid, spacingOf, turnToLps, withSpacing } from "./grid.js";
import { resampled } from "./resample.js";

const LEAST = 1e-8; // what a standard deviation or a range is divided by at least

/**
 * Prepare an image `{channels, grid, calibrated}`. Returns `{channels, grid, canonical, turn}`: float32 channels on
 * `grid`, the whole turned image's grid, and the turn that leads to it.
 */
export function prepare(image, description) {
  const wanted = description.input.channels;
  if (image.channels.length !== wanted.length)
    throw new Error(`it has ${counted(image.channels.length, "channel")}; this segmenter needs ${wanted.join(", ")}`);
  const axes = description.input.axes.length - 2;
  if (image.grid.shape.length !== axes)
    throw new Error(`it is ${image.grid.shape.length}D, and this segmenter is for ${axes}D images`);
  const turn = turnToLps(image.grid);
  let { channels } = image;
  let grid = turn.grid;
  channels = channels.map((array) => turned(array, image.grid.shape, turn.order, turn.flipped));
  for (const step of description.before) {
    if (step.step === "orient") continue; // has been done: what is shown is turned as well
    if (step.step === "crop") ({ channels, grid } = contentOf(channels, grid));
    else if (step.step === "normalise") channels = channels.map((array, n) => normalised(array, step.channels[n]));
    else if (step.step === "resample") ({ channels, grid } = respaced(channels, grid, step, image.calibrated));
    else throw new Error(`this page does not know the step “${step.step}” of its description`);
  }
  return { channels: channels.map((array) => Float32Array.from(array)), grid, canonical: turn.grid, turn };
}

/** One channel, two channels. */
export function counted(n, word) {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

/** Cut away the border that is zero in every channel. */
function contentOf(channels, grid) {
  const box = contentBox(channels, grid.shape);
  if (box === null) return { channels, grid };
  const { start, size } = box;
  if (size.every((n, k) => n === grid.shape[k])) return { channels, grid };
  return {
    channels: channels.map((array) => cropped(array, grid.shape, start, size)),
    grid: cropGrid(grid, start, size),
  };
}

function contentBox(channels, shape) {
  const low = shape.map((n) => n);
  const high = shape.map(() => -1);
  const index = shape.map(() => 0);
  for (let at = 0; at < channels[0].length; at++) {
    if (channels.some((array) => array[at] !== 0))
      for (let k = 0; k < shape.length; k++) {
        if (index[k] < low[k]) low[k] = index[k];
        if (index[k] > high[k]) high[k] = index[k];
      }
    for (let k = shape.length - 1; k >= 0 && ++index[k] === shape[k]; k--) index[k] = 0;
  }
  return high[0] < 0 ? null : { start: low, size: low.map((first, k) => high[k] - first + 1) };
}

/** Bring one channel to scale, in double precision. */
export function normalised(array, how) {
  const made = new Float32Array(array.length);
  if (how.scheme === "none") return Float32Array.from(array);
  let [low, high, shift, divisor] = [-Infinity, Infinity, 0, 255];
  if (how.scheme === "z_score" || how.scheme === "z_score_nonzero")
    [shift, divisor] = meanAndDeviation(array, how.scheme === "z_score_nonzero");
  else if (how.scheme === "ct" || how.scheme === "fixed")
    [low, high, shift, divisor] = [how.lower, how.upper, how.mean, how.std];
  else {
    const [least, most] = range(array);
    if (how.scheme === "range") [shift, divisor] = [least, most - least];
    else if (how.scheme !== "rgb") throw new Error(`this page does not know the normalisation “${how.scheme}”`);
    else if (least < 0 || most > 255) throw new Error(`its colours run from ${least} to ${most}, not from 0 to 255`);
  }
  const factor = 1 / Math.max(divisor, LEAST);
  for (let n = 0; n < array.length; n++) {
    const value = Math.min(Math.max(array[n], low), high);
    made[n] = how.scheme === "z_score_nonzero" && array[n] === 0 ? 0 : (value - shift) * factor;
  }
  return made;
}

function meanAndDeviation(array, nonzero) {
  // The sums are taken about the first value, so that a large offset costs no digits.
  const first = nonzero ? (array.find((value) => value !== 0) ?? 0) : array[0];
  let [count, total, squares] = [0, 0, 0];
  for (const value of array) {
    if (nonzero && value === 0) continue;
    const away = value - first;
    count += 1;
    total += away;
    squares += away * away;
  }
  if (count === 0) return [0, 0];
  const mean = total / count;
  return [first + mean, Math.sqrt(Math.max(squares / count - mean * mean, 0))];
}

/** Smallest and largest value. */
export function range(array) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of array) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}

function respaced(channels, grid, step, calibrated) {
  if (!calibrated) throw new Error("it says nothing about its size in millimetres, which this segmenter needs");
  const spacing = spacingOf(grid);
  if (step.spacing_mm.every((wanted, k) => Math.abs(spacing[k] - wanted) <= 1e-3 * wanted)) return { channels, grid };
  const target = withSpacing(grid, step.spacing_mm);
  const made = channels.map((array) => resampled(array, grid, target, "cubic", { throughPlane: "nearest" }));
  return { channels: made, grid: target };
}
