/**
 * All that is computed, in a worker, so that the page stays awake.
 *
 * It is asked with `{id, act, …}` and answers `{id, result}` or `{id, error}`, between them `{id, progress}`.
 */

import { turnedBack } from "./arrays.js";
import { refuseUnholdable } from "./bytes.js";
import { cleanedUp } from "./components.js";
import { decide } from "./decide.js";
import { sizeOf, spacingOf, voxelSize } from "./grid.js";
import { checkNetwork, loadNetwork } from "./network.js";
import { isNifti, readNifti, writeNifti } from "./nifti.js";
import { isJpeg, isPng, readPicture, writePng } from "./pictures.js";
import { prepare, range } from "./prepare.js";
import { countRuns, slidingWindow } from "./windows.js";

let description = null;
let run = null;
let image = null; // as it was read
let labels = null; // on the image's own grid

const acts = { load, open, segment, save };

self.addEventListener("message", async ({ data: { id, act, ...request } }) => {
  const progress = (done, all) => self.postMessage({ id, progress: { done, all } });
  try {
    const { result, transfer = [] } = await acts[act](request, progress);
    self.postMessage({ id, result }, transfer);
  } catch (error) {
    self.postMessage({ id, error: said(error) });
  }
});

/** Get the network and check it. */
async function load({ base }) {
  const get = async (path) => {
    const found = await fetch(new URL(path, base));
    if (!found.ok) throw new Error(`${path} could not be fetched from this page's own folder (${found.status})`);
    return found;
  };
  description = await (await get("vesalius.json")).json();
  const allowed = await (await get("check.json")).json();
  const [network, check] = await Promise.all(
    [description.artefact, "check.bin"].map(async (path) => (await get(path)).arrayBuffer()),
  );
  run = await loadNetwork(description, network);
  return { result: { description, check: await checkNetwork(run, description, allowed, check) } };
}

/** Read an image from one file, or from a file for each channel, and return what is needed to show it. */
async function open({ files }) {
  labels = null;
  image = null;
  const parts = [];
  for (const file of files) parts.push(await read(file));
  image = {
    ...parts[0],
    channels: parts.flatMap((part) => part.channels),
    notes: [...new Set(parts.flatMap((part) => part.notes))],
  };
  const first = parts[0].grid;
  for (const [n, { grid }] of parts.entries())
    if (grid.shape.join() !== first.shape.join() || farthest(grid, first) > 1e-3)
      throw new Error(`${files[n].name}: it lies on another grid than ${files[0].name}; bring the channels to one grid`);
  const seen = prepare(image, { ...description, before: [] }); // refuses what does not suit the segmenter
  return {
    result: {
      channels: seen.channels,
      shape: seen.canonical.shape,
      spacing: spacingOf(seen.canonical),
      calibrated: image.calibrated,
      ranges: seen.channels.map(range),
      notes: image.notes,
    },
    transfer: seen.channels.map((array) => array.buffer),
  };
}

async function read(file) {
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (bytes.length === 0) throw new Error("the file is empty");
    if (isPng(bytes) || isJpeg(bytes)) return await readPicture(bytes);
    if (isNifti(file.name, bytes)) return await readNifti(bytes);
    if (String.fromCharCode(...bytes.subarray(128, 132)) === "DICM")
      throw new Error("it is DICOM, which this page does not read: convert it to NIfTI (vesalius or dcm2niix do that)");
    throw new Error("it is neither NIfTI (.nii, .nii.gz) nor a PNG or JPEG picture");
  } catch (error) {
    throw new Error(`${file.name}: ${said(error)}`, { cause: error });
  }
}

/** The largest distance between the same corners of two grids, mm. */
function farthest(one, other) {
  const corners = one.shape.reduce((all, n) => all.flatMap((corner) => [[...corner, 0], [...corner, n - 1]]), [[]]);
  const away = (corner) =>
    Math.hypot(...one.affine.map((row, r) => row.reduce((sum, a, k) => sum + (a - other.affine[r][k]) * (corner[k] ?? 1), 0)));
  return Math.max(...corners.map(away));
}

/** Segment the image that is open. */
async function segment({ mirror }, progress) {
  const { output, after } = description;
  const seen = prepare(image, description);
  const windows = windowsOf(mirror);
  refuseUnholdable(sizeOf(seen.grid) * output.channels.length);
  progress(0, countRuns(seen.grid.shape, windows));
  const logits = await slidingWindow(
    seen.channels, seen.grid.shape, run, output.channels.length, windows, progress,
  );
  const regions = output.activation === "sigmoid";
  const values = regions ? after.painted : output.channels.map((channel) => channel.values[0]);
  const decided = decide(logits, seen.grid, seen.canonical, values, regions);
  const shown = cleanedUp(decided, seen.canonical, after);
  labels = turnedBack(shown, seen.canonical.shape, seen.turn.order, seen.turn.flipped);
  const voxels = Object.fromEntries(after.labels.map(({ value }) => [value, 0]));
  for (const value of shown) if (value > 0) voxels[value] += 1;
  const result = { labels: shown, voxels, voxelSize: image.calibrated ? voxelSize(image.grid) : null };
  return { result, transfer: [shown.buffer] };
}

/** The windows of the description, their axes as numbers. */
function windowsOf(mirror) {
  const { patch_size: size, overlap, weights, mirror_axes: names, mirrored_outputs: mirroredOutputs } = description.windows;
  const axes = description.input.axes.slice(2);
  return {
    size,
    overlap,
    sigmaShare: weights.sigma_of_edge,
    mirrorAxes: mirror ? names.map((name) => axes.indexOf(name)) : [],
    mirroredOutputs,
  };
}

/** The label map as a file: PNG for pictures, NIfTI for what has a place in space. */
async function save() {
  const picture = !image.calibrated;
  const bytes = picture
    ? await writePng(labels, image.grid.shape)
    : await writeNifti(labels, image.grid, description.after);
  return { result: { bytes, ending: picture ? ".png" : ".nii.gz" }, transfer: [bytes.buffer] };
}

function said(error) {
  if (error instanceof RangeError) return "the browser has not enough memory for this image";
  return error instanceof Error ? error.message : String(error);
}

