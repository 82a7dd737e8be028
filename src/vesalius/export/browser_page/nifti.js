/**
 * NIfTI-1 and NIfTI-2, plain or gzipped, in one file.
 *
 * Source: the NIfTI-1 and NIfTI-2 standards; the choices are those of vesalius.io.nifti and nifti_header.
 */

import { turned } from "./arrays.js";
import { compressed, expanded, isGzip, refuseUnholdable } from "./bytes.js";
import { determinant, makeGrid, spacingOf } from "./grid.js";

const KINDS = {
  2: ["Uint8", 1], 4: ["Int16", 2], 8: ["Int32", 4], 16: ["Float32", 4], 64: ["Float64", 8], 128: ["Uint8", 1],
  256: ["Int8", 1], 512: ["Uint16", 2], 768: ["Uint32", 4], 1024: ["BigInt64", 8], 1280: ["BigUint64", 8],
  2304: ["Uint8", 1],
};
const COLOURS = { 128: 3, 2304: 4 };
const MAGIC = ["n+1", "ni1", "n+2", "ni2"];
const TO_MM = { 1: 1000, 3: 0.001 };
const VECTORS = [1004, 1005, 1006, 1007, 1008, 1009]; // intents of a picture whose fifth axis holds channels
const COMMENT = 6; // the extension code of plain text
const MARK = "vesalius labels 1\n";

/** Whether a file may be NIfTI, by its name or content. */
export function isNifti(name, bytes) {
  return /\.nii(\.gz)?$/i.test(name) || isGzip(bytes) || [348, 540].includes(new DataView(bytes.buffer).getInt32(0, true));
}

/** Read a file's bytes as `{channels, grid, calibrated, notes}`. */
export async function readNifti(bytes) {
  let header;
  const limit = (start) => {
    if (start.length < 540 && header === undefined && start.length < sizeOfHeader(start)) return undefined;
    header = parse(start);
    return header.offset + header.bytes;
  };
  const all = isGzip(bytes) ? await expanded(bytes, "gzip", limit) : bytes;
  header ??= parse(all);
  if (all.length < header.offset + header.bytes)
    throw new Error(`it ends after ${all.length} bytes; its header declares ${header.offset + header.bytes}`);
  const { grid, notes } = locate(header);
  return { channels: channelsOf(all, header, grid.shape), grid, calibrated: true, notes };
}

function sizeOfHeader(start) {
  if (start.length < 4) return 348;
  const view = new DataView(start.buffer, start.byteOffset);
  return [true, false].some((little) => view.getInt32(0, little) === 540) ? 540 : 348;
}

function parse(start) {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const size = sizeOfHeader(start);
  if (start.length < size) throw new Error(`the file ends inside its header (${start.length} of ${size} bytes)`);
  const little = view.getInt32(0, true) === size;
  if (!little && view.getInt32(0, false) !== size) throw new Error("it does not begin as NIfTI does, with 348 or 540");
  const raw = size === 348 ? fieldsOfVersion1(view, little) : fieldsOfVersion2(view, little);
  const magic = String.fromCharCode(...start.subarray(raw.magicAt, raw.magicAt + 3));
  if (!MAGIC.includes(magic)) throw new Error("it is no NIfTI file; ANALYZE 7.5 must be converted first");
  if (magic[1] === "i") throw new Error("its voxels lie in another file (.img): convert the pair to one .nii file");
  const kind = KINDS[raw.datatype];
  if (!kind) throw new Error(`its voxels are of NIfTI's datatype ${raw.datatype}: convert it to whole or real numbers`);
  if (!(raw.offset >= size && raw.offset < 2 ** 40 && Number.isInteger(raw.offset)))
    throw new Error(`its voxels cannot begin at byte ${raw.offset}`);
  const { shape, channels } = shapeOf(raw);
  const samples = COLOURS[raw.datatype] ?? 1;
  if (samples > 1 && channels > 1) throw new Error("it has colours and a fourth axis; only one of them can be channels");
  const values = shape.reduce((product, n) => product * n, channels * samples);
  refuseUnholdable(values);
  return { ...raw, little, kind, shape, count: channels, samples, bytes: values * kind[1] };
}

function fieldsOfVersion1(view, little) {
  const many = (n, at, read, size) => Array.from({ length: n }, (_, k) => view[read](at + k * size, little));
  return {
    magicAt: 344, dim: many(8, 40, "getInt16", 2), intent: view.getInt16(68, little),
    datatype: view.getInt16(70, little), pixdim: many(8, 76, "getFloat32", 4), offset: view.getFloat32(108, little),
    slope: view.getFloat32(112, little), intercept: view.getFloat32(116, little), units: view.getUint8(123),
    qform: view.getInt16(252, little), sform: view.getInt16(254, little), quatern: many(3, 256, "getFloat32", 4),
    qoffset: many(3, 268, "getFloat32", 4), srow: many(12, 280, "getFloat32", 4),
  };
}

function fieldsOfVersion2(view, little) {
  const many = (n, at, read) => Array.from({ length: n }, (_, k) => Number(view[read](at + k * 8, little)));
  return {
    magicAt: 4, datatype: view.getInt16(12, little), dim: many(8, 16, "getBigInt64"),
    pixdim: many(8, 104, "getFloat64"), offset: Number(view.getBigInt64(168, little)),
    slope: view.getFloat64(176, little), intercept: view.getFloat64(184, little), qform: view.getInt32(344, little),
    sform: view.getInt32(348, little), quatern: many(3, 352, "getFloat64"), qoffset: many(3, 376, "getFloat64"),
    srow: many(12, 400, "getFloat64"), units: view.getInt32(500, little), intent: view.getInt32(504, little),
  };
}

function shapeOf({ dim, intent }) {
  const axes = dim[0];
  const sizes = dim.slice(1, axes + 1);
  if (!(axes >= 2 && axes <= 7) || Math.min(...sizes) < 1) throw new Error(`its shape cannot be: dim = ${dim.join(" ")}`);
  while (sizes.length < 7) sizes.push(1);
  const beyond = sizes.slice(3).filter((n) => n > 1);
  if (beyond.length > 1) throw new Error(`it has ${beyond.length} axes beyond space; only one, of channels, can be read`);
  const flat = axes <= 2 || (axes === 5 && sizes[2] === 1 && sizes[3] === 1 && VECTORS.includes(intent));
  return { shape: sizes.slice(0, flat ? 2 : 3), channels: beyond[0] ?? 1 };
}

/** Where the voxels are: the sform, then the qform, then the bare spacings; LPS. */
function locate(header) {
  const notes = [];
  const scale = TO_MM[header.units & 7] ?? 1;
  const pixdim = header.pixdim.slice(1, 4).map(Math.abs);
  if (header.shape.length === 2 && !(pixdim[2] > 0)) pixdim[2] = 1;
  let affine;
  if (header.sform > 0) {
    affine = [0, 4, 8].map((at) => header.srow.slice(at, at + 4));
    const columns = [0, 1, 2].map((k) => Math.hypot(...affine.map((row) => row[k])));
    const unit = columns.every((length) => Math.abs(length - 1) <= 1e-3);
    if (unit && pixdim.every((x) => x > 0 && Number.isFinite(x)) && pixdim.some((x) => Math.abs(x - 1) > 1e-3)) {
      affine = affine.map((row) => row.map((a, k) => (k < 3 ? (a * pixdim[k]) / columns[k] : a)));
      notes.push("The sform has no spacing; the spacing was taken from pixdim.");
    }
  } else if (header.qform > 0) affine = affineOfQuaternion(header, pixdim);
  else {
    affine = [0, 1, 2].map((r) => [0, 1, 2, 3].map((k) => (k === r ? pixdim[k] : 0)));
    notes.push("The file does not say how the patient lay; left and right are as they are by convention.");
  }
  const signs = [-scale, -scale, scale]; // RAS to LPS, and to millimetres
  const lps = [...affine.map((row, r) => row.map((a) => a * signs[r])), [0, 0, 0, 1]];
  if (header.shape.length === 3) return { grid: makeGrid(header.shape, lps), notes };
  if (lps[2][0] === 0 && lps[2][1] === 0) {
    const flat = [0, 1, 3].map((r) => [lps[r][0], lps[r][1], lps[r][3]]);
    return { grid: makeGrid(header.shape, flat), notes };
  }
  return { grid: makeGrid([...header.shape, 1], lps), notes };
}

/** Method 2 of the standard: a rotation as a quaternion, a spacing, and a reflection of the third axis. */
function affineOfQuaternion({ quatern, qoffset, pixdim }, spacing) {
  let [b, c, d] = quatern;
  const rest = 1 - (b * b + c * c + d * d);
  let a = 0;
  if (rest < 1e-7) [b, c, d] = quatern.map((x) => x / Math.hypot(b, c, d));
  else a = Math.sqrt(rest);
  const turn = [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
  ];
  const signs = [1, 1, pixdim[0] < 0 ? -1 : 1];
  return turn.map((row, r) => [...row.map((x, k) => x * spacing[k] * signs[k]), qoffset[r]]);
}

function channelsOf(all, header, shape) {
  const { kind, little, count, samples, datatype, offset } = header;
  const voxels = shape.reduce((product, n) => product * n, 1);
  const flat = valuesOf(all, offset, voxels * count * samples, kind, little);
  const order = shape.map((_, k) => k);
  const still = shape.map(() => false);
  const strides = shape.map((_, k) => shape.slice(0, k).reduce((product, n) => product * n, 1));
  const colours = Math.min(samples, 3); // alpha is dropped
  return Array.from({ length: count * colours }, (_, channel) => {
    const part = samples > 1 ? everyNth(flat, channel, samples) : flat.subarray(channel * voxels, (channel + 1) * voxels);
    const array = turned(part, shape, order, still, strides);
    const values = datatype in COLOURS ? array : scaled(array, header);
    if (!values.every(Number.isFinite)) throw new Error("it holds values that are not finite numbers");
    return values;
  });
}

function everyNth(array, first, step) {
  return array.constructor.from({ length: array.length / step }, (_, n) => array[first + n * step]);
}

/** Stored values, in this machine's order of bytes; 64-bit whole numbers become float64. */
function valuesOf(all, offset, length, [name, width], little) {
  const view = new DataView(all.buffer, all.byteOffset + offset, length * width);
  const read = `get${name}`;
  const kinds = { Uint8Array, Int16Array, Int32Array, Float32Array, Float64Array, Int8Array, Uint16Array, Uint32Array };
  const made = new (kinds[`${name}Array`] ?? Float64Array)(length);
  for (let n = 0; n < length; n++) made[n] = Number(view[read](n * width, little));
  return made;
}

function scaled(array, { slope, intercept }) {
  if (slope === 0 || !Number.isFinite(slope)) return array;
  const shift = Number.isFinite(intercept) ? intercept : 0;
  if (slope === 1 && shift === 0) return array;
  if (array instanceof Float32Array) return array.map((value) => Math.fround(value * Math.fround(slope)) + Math.fround(shift));
  const whole = Number.isInteger(slope) && Number.isInteger(shift);
  const kind = whole || array instanceof Float64Array ? Float64Array : Float32Array;
  return kind.from(array, (value) => value * slope + shift);
}

/** Write a label map on a 3D or 2D grid as a gzipped NIfTI-1 file, the names of the labels with it. */
export async function writeNifti(labels, grid, after) {
  if (Math.max(...grid.shape) > 32767) throw new Error("it is longer than NIfTI-1 can say");
  const comment = new TextEncoder().encode(MARK + JSON.stringify(namesOf(after)));
  const extension = Math.ceil((8 + comment.length) / 16) * 16;
  const offset = 352 + extension;
  const bytes = new Uint8Array(offset + labels.byteLength);
  const view = new DataView(bytes.buffer);
  header(view, grid, labels.BYTES_PER_ELEMENT === 1 ? 2 : 512, offset);
  bytes[348] = 1;
  view.setInt32(352, extension, true);
  view.setInt32(356, COMMENT, true);
  bytes.set(comment, 360);
  const axes = grid.shape.map((_, k) => grid.shape.length - 1 - k);
  const ordered = turned(labels, grid.shape, axes, axes.map(() => false)); // the first axis shall run fastest
  ordered.forEach((value, n) =>
    labels.BYTES_PER_ELEMENT === 1 ? (bytes[offset + n] = value) : view.setUint16(offset + 2 * n, value, true),
  );
  return compressed(bytes, "gzip");
}

function namesOf({ labels, regions }) {
  const code = (one) => (one ? [one.scheme, one.value, one.meaning] : null);
  return {
    labels: labels.map(({ name, value, colour, code: said }) => ({ name, value, colour, code: code(said) })),
    regions,
    ignore: null,
  };
}

function header(view, grid, datatype, offset) {
  const n = grid.shape.length;
  const sizes = [n, ...grid.shape, ...Array(7 - n).fill(1)];
  const place = (r, k) => (r < n && k < n ? grid.affine[r][k] : r === k ? 1 : 0);
  const origin = (r) => (r < n ? grid.affine[r][n] : 0);
  const affine = [0, 1, 2].map((r) => [place(r, 0), place(r, 1), place(r, 2), origin(r)].map((a) => (r < 2 ? -a : a)));
  const spacing = [...spacingOf(grid), 1].slice(0, 3);
  view.setInt32(0, 348, true);
  sizes.forEach((size, k) => view.setInt16(40 + 2 * k, size, true));
  view.setInt16(70, datatype, true);
  view.setInt16(72, datatype === 2 ? 8 : 16, true);
  [1, ...spacing, 1, 1, 1, 1].forEach((x, k) => view.setFloat32(76 + 4 * k, x, true));
  view.setFloat32(108, offset, true);
  view.setFloat32(112, 1, true);
  view.setUint8(123, 2); // millimetres
  view.setInt16(254, 1, true);
  affine.flat().forEach((a, k) => view.setFloat32(280 + 4 * k, a, true));
  const turn = affine.map((row) => [0, 1, 2].map((k) => row[k] / spacing[k]));
  if (isRotation(turn)) quaternion(view, turn, affine);
  [0x6e, 0x2b, 0x31, 0].forEach((byte, k) => view.setUint8(344 + k, byte)); // "n+1"
}

/** Whether the axes are at right angles, so that a quaternion can hold them. */
function isRotation(turn) {
  return [0, 1, 2].every((p) =>
    [0, 1, 2].every((q) => {
      const product = turn.reduce((sum, row) => sum + row[p] * row[q], 0);
      return Math.abs(product - (p === q ? 1 : 0)) <= 1e-6;
    }),
  );
}

/** The qform beside the sform, for readers that know only one. Source: nifti1_io.c, nifti_mat44_to_quatern. */
function quaternion(view, turn, affine) {
  const side = determinant(turn) > 0 ? 1 : -1;
  const [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = turn.map((row) => [row[0], row[1], row[2] * side]);
  let [a, b, c, d] = [1 + xx + yy + zz, 0, 0, 0];
  if (a > 0.5) {
    a = 0.5 * Math.sqrt(a);
    [b, c, d] = [0.25 * (zy - yz), 0.25 * (xz - zx), 0.25 * (yx - xy)].map((x) => x / a);
  } else {
    const [x, y, z] = [1 + xx - yy - zz, 1 + yy - xx - zz, 1 + zz - xx - yy];
    if (x > 1) {
      b = 0.5 * Math.sqrt(x);
      [c, d, a] = [0.25 * (xy + yx), 0.25 * (xz + zx), 0.25 * (zy - yz)].map((q) => q / b);
    } else if (y > 1) {
      c = 0.5 * Math.sqrt(y);
      [b, d, a] = [0.25 * (xy + yx), 0.25 * (yz + zy), 0.25 * (xz - zx)].map((q) => q / c);
    } else {
      d = 0.5 * Math.sqrt(z);
      [b, c, a] = [0.25 * (xz + zx), 0.25 * (yz + zy), 0.25 * (yx - xy)].map((q) => q / d);
    }
    if (a < 0) [b, c, d] = [-b, -c, -d];
  }
  view.setFloat32(76, side, true);
  view.setInt16(252, 1, true);
  [b, c, d, ...affine.map((row) => row[3])].forEach((x, k) => view.setFloat32(256 + 4 * k, x, true));
}
