/** From logits at the network's spacing to a label at each voxel of the image. */

import { asThree } from "./arrays.js";
import { cropGrid, sizeOf } from "./grid.js";
import { placesAlong, resampled, within } from "./resample.js";

/**
 * Label values on `target`, from logits on `source` whose axes are parallel: linear between voxels, 0 outside.
 *
 * `values` holds the label of each output: with `regions`, an output is on where its logit is above 0 and later ones
 * are painted over earlier ones; without, the largest logit wins, the first at a tie. One output is looked at a time.
 */
export function decide(logits, source, target, values, regions) {
  const kind = Math.max(...values) < 256 ? Uint8Array : Uint16Array;
  const box = extent(source, target);
  if (box === null) return new kind(sizeOf(target));
  const labels = new kind(sizeOf(box.grid));
  const best = regions ? new Float32Array(labels.length) : new Float32Array(labels.length).fill(-Infinity);
  logits.forEach((array, output) => {
    const found = resampled(array, source, box.grid, "linear");
    for (let n = 0; n < found.length; n++) {
      if (!(found[n] > best[n])) continue;
      labels[n] = values[output];
      if (!regions) best[n] = found[n];
    }
  });
  return placed(labels, box, target.shape);
}

/** The part of a grid that lies inside the extent of another, or null. */
function extent(source, target) {
  const start = [];
  const size = [];
  for (let axis = 0; axis < target.shape.length; axis++) {
    const inside = [...placesAlong(axis, source, target)].map((at) => within(at, source.shape[axis]));
    if (!inside.includes(true)) return null;
    start.push(inside.indexOf(true));
    size.push(inside.lastIndexOf(true) - start[axis] + 1);
  }
  return { start, grid: cropGrid(target, start, size) };
}

/** An array in its place in a larger one of zeros. */
function placed(array, { start, grid }, shape) {
  const whole = asThree(shape, 1);
  const first = asThree(start, 0);
  const size = asThree(grid.shape, 1);
  const made = new array.constructor(whole[0] * whole[1] * whole[2]);
  for (let i = 0; i < size[0]; i++)
    for (let j = 0; j < size[1]; j++) {
      const from = (i * size[1] + j) * size[2];
      const to = ((first[0] + i) * whole[1] + first[1] + j) * whole[2] + first[2];
      made.set(array.subarray(from, from + size[2]), to);
    }
  return made;
}
