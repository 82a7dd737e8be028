/** The clean-up that belongs to a segmenter, as in vesalius.transform.postprocess. */

import { asThree } from "./arrays.js";
import { voxelSize } from "./grid.js";

/** Take the steps of a description's `after.clean_up`; returns a new label map. */
export function cleanedUp(labels, grid, after) {
  const found = labels.slice();
  for (const step of after.clean_up) {
    const members = new Set(membersOf(step.name, after));
    const { pieces, sizes } = piecesOf(found, grid.shape, members);
    const stays = step.step === "keep_largest" ? largest(sizes) : largeEnough(sizes, step, grid);
    for (let n = 0; n < found.length; n++) if (pieces[n] > 0 && !stays[pieces[n] - 1]) found[n] = 0;
  }
  return found;
}

function membersOf(name, after) {
  if (name === null) return after.labels.map((label) => label.value);
  const label = after.labels.find((one) => one.name === name);
  return label ? [label.value] : after.regions.find((region) => region.name === name).values;
}

function largest(sizes) {
  const first = sizes.reduce((best, size, n) => (size > sizes[best] ? n : best), 0);
  return sizes.map((_, n) => n === first);
}

function largeEnough(sizes, step, grid) {
  const unit = { voxels: 1, mm2: voxelSize(grid), ml: voxelSize(grid) / 1000 }[step.unit];
  return sizes.map((size) => size * unit >= step.least * (1 - 1e-9));
}

/** Number the connected pieces (across faces, edges and corners) in the order in which they are met, from 1. */
export function piecesOf(labels, shape, members) {
  const [ni, nj, nk] = asThree(shape, 1);
  const pieces = new Int32Array(labels.length);
  const sizes = [];
  const waiting = [];
  for (let seed = 0; seed < labels.length; seed++) {
    if (pieces[seed] !== 0 || !members.has(labels[seed])) continue;
    const piece = sizes.push(0);
    pieces[seed] = piece;
    waiting.push(seed);
    while (waiting.length > 0) {
      const at = waiting.pop();
      sizes[piece - 1] += 1;
      const [i, j, k] = [Math.floor(at / (nj * nk)), Math.floor(at / nk) % nj, at % nk];
      for (let a = Math.max(0, i - 1); a <= Math.min(ni - 1, i + 1); a++)
        for (let b = Math.max(0, j - 1); b <= Math.min(nj - 1, j + 1); b++)
          for (let c = Math.max(0, k - 1); c <= Math.min(nk - 1, k + 1); c++) {
            const next = (a * nj + b) * nk + c;
            if (pieces[next] !== 0 || !members.has(labels[next])) continue;
            pieces[next] = piece;
            waiting.push(next);
          }
    }
  }
  return { pieces, sizes };
}
