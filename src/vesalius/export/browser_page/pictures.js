/** Pictures: PNG, decoded here to the last bit, and JPEG, decoded by the browser. Index i runs right and j down. */

import { compressed, expanded, refuseUnholdable } from "./bytes.js";

const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const SAMPLES = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }; // by PNG's colour type
const PASSES = [
  [0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2],
]; // of Adam7: first column, first row, and the steps between them

/** Whether bytes are a PNG or JPEG file. */
export const isPng = (bytes) => PNG.every((byte, k) => bytes[k] === byte);
export const isJpeg = (bytes) => bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;

/** Read a picture as `{channels, grid, calibrated, notes}`: one channel for grey, three for colour. */
export async function readPicture(bytes) {
  const { width, height, channels, notes } = isPng(bytes) ? await decodePng(bytes) : await decodeJpeg(bytes);
  const grid = { shape: [width, height], affine: [[1, 0, 0], [0, 1, 0], [0, 0, 1]] };
  return { channels: channels.map((rows) => flipped(rows, width, height)), grid, calibrated: false, notes };
}

/** From rows to columns, or back with width and height exchanged. */
function flipped(rows, width, height) {
  const made = new rows.constructor(rows.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) made[x * height + y] = rows[y * width + x];
  return made;
}

/** Source: the PNG specification, third edition (W3C 2025). */
async function decodePng(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts = [];
  let palette = null;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const size = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (at + 12 + size > bytes.length) break;
    const body = bytes.subarray(at + 8, at + 8 + size);
    if (name === "PLTE") palette = body;
    if (name === "IDAT") parts.push(body);
    if (name === "IEND") break;
    at += 12 + size;
  }
  if (parts.length === 0) throw new Error("the PNG is damaged or cut off");
  const [width, height, depth, colour, interlaced] = [
    view.getUint32(16), view.getUint32(20), bytes[24], bytes[25], bytes[28] === 1,
  ];
  const samples = SAMPLES[colour];
  if (!samples || ![1, 2, 4, 8, 16].includes(depth) || !(width > 0 && height > 0))
    throw new Error("the PNG's header is damaged");
  refuseUnholdable(width * height * samples);
  const passes = (interlaced ? PASSES : [[0, 0, 1, 1]])
    .map(([x, y, dx, dy]) => ({ x, y, dx, dy, columns: Math.ceil((width - x) / dx), rows: Math.ceil((height - y) / dy) }))
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
  const rowSize = (columns) => Math.ceil((columns * samples * depth) / 8);
  const wanted = passes.reduce((sum, { columns, rows }) => sum + rows * (1 + rowSize(columns)), 0);
  const packed = new Uint8Array(await new Blob(parts).arrayBuffer());
  const raw = await expanded(packed, "deflate", () => wanted);
  if (raw.length < wanted) throw new Error("the PNG is damaged or cut off");
  const planes = Array.from({ length: samples }, () => new (depth === 16 ? Uint16Array : Uint8Array)(width * height));
  let from = 0;
  for (const pass of passes) {
    const size = rowSize(pass.columns);
    const block = raw.subarray(from, from + pass.rows * (1 + size));
    from += block.length;
    unfilter(block, pass.rows, size, Math.max(1, (samples * depth) / 8));
    for (let row = 0; row < pass.rows; row++)
      for (let n = 0; n < pass.columns * samples; n++) {
        const column = Math.floor(n / samples);
        const to = (pass.y + row * pass.dy) * width + pass.x + column * pass.dx;
        planes[n % samples][to] = sampleAt(block, row * (1 + size) + 1, n, depth);
      }
  }
  return { width, height, ...asRead(planes, colour, depth, palette) };
}

function sampleAt(block, start, n, depth) {
  if (depth === 8) return block[start + n];
  if (depth === 16) return block[start + 2 * n] * 256 + block[start + 2 * n + 1];
  const bit = n * depth;
  return (block[start + (bit >> 3)] >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
}

/** Undo the filters of rows, in place. */
function unfilter(block, rows, size, step) {
  for (let row = 0; row < rows; row++) {
    const start = row * (1 + size) + 1;
    const kind = block[start - 1];
    if (kind > 4) throw new Error("the PNG is damaged");
    for (let n = 0; n < size; n++) {
      const left = n >= step ? block[start + n - step] : 0;
      const up = row > 0 ? block[start + n - 1 - size] : 0;
      const corner = n >= step && row > 0 ? block[start + n - 1 - size - step] : 0;
      const guess = [0, left, up, (left + up) >> 1, kind === 4 ? nearestOf(left, up, corner) : 0][kind];
      block[start + n] = (block[start + n] + guess) & 255;
    }
  }
}

/** The neighbour that is nearest to a plane through all three: filter 4. */
function nearestOf(left, up, corner) {
  const near = [left, up, corner].map((value) => Math.abs(left + up - corner - value));
  if (near[0] <= near[1] && near[0] <= near[2]) return left;
  return near[1] <= near[2] ? up : corner;
}

/** What vesalius.io.raster makes of the samples: no alpha, palettes as colours, 16-bit colour as 8 bits. */
function asRead(planes, colour, depth, palette) {
  const notes = [];
  if (colour === 4 || colour === 6) {
    planes = planes.slice(0, -1);
    notes.push("The alpha channel was dropped.");
  }
  if (colour === 3) {
    if (palette === null) throw new Error("the PNG has no palette");
    const colours = [0, 1, 2].map((c) => planes[0].map((entry) => palette[3 * entry + c] ?? 0));
    const grey = colours[0].every((value, n) => value === colours[1][n] && value === colours[2][n]);
    return { channels: grey ? colours.slice(0, 1) : colours, notes: ["Palette entries became their colours."] };
  }
  if (depth === 16 && colour !== 0) {
    planes = planes.map((plane) => Uint8Array.from(plane, (value) => value >> 8));
    notes.push("16-bit colour was read as 8 bits.");
  }
  if (depth === 2 || depth === 4) planes = planes.map((plane) => plane.map((value) => (value * 255) / (2 ** depth - 1)));
  return { channels: planes, notes };
}

/** The browser decodes; profiles and EXIF are taken out first, so that it neither turns nor recolours. */
async function decodeJpeg(bytes) {
  const { parts, components, notes } = plainJpeg(bytes);
  if (components !== 1 && components !== 3) throw new Error("it is a CMYK picture: convert it to RGB first");
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob(parts, { type: "image/jpeg" }), { colorSpaceConversion: "none" });
  } catch (error) {
    throw new Error("the JPEG is damaged or cut off", { cause: error });
  }
  const { width, height } = bitmap;
  refuseUnholdable(width * height * 4);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const channels = Array.from({ length: components }, (_, c) =>
    Uint8Array.from({ length: width * height }, (_, n) => data[4 * n + c]),
  );
  return { width, height, channels, notes };
}

function plainJpeg(bytes) {
  const parts = [bytes.subarray(0, 2)];
  const notes = [];
  let components = 0;
  for (let at = 2; at + 4 <= bytes.length; ) {
    const marker = bytes[at + 1];
    if (bytes[at] !== 0xff) break;
    const end = at + 2 + bytes[at + 2] * 256 + bytes[at + 3];
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) components = bytes[at + 9];
    if (marker === 0xe1) notes.push("What the camera says about its orientation was not applied.");
    const kept = marker < 0xe1 || marker > 0xed; // of the application's own segments JFIF and Adobe's say the colours
    if (marker === 0xda) {
      parts.push(bytes.subarray(at));
      break;
    }
    if (kept) parts.push(bytes.subarray(at, end));
    at = end;
  }
  if (components === 0) throw new Error("the JPEG is damaged or cut off");
  return { parts, components, notes };
}

/** Write label values as a grey PNG of 8 bits, or 16 where there are more than 255. */
export async function writePng(labels, [width, height]) {
  const wide = labels.BYTES_PER_ELEMENT;
  const rows = flipped(labels, height, width);
  const raw = new Uint8Array(height * (1 + width * wide));
  rows.forEach((value, n) => {
    const at = Math.floor(n / width) * (1 + width * wide) + 1 + (n % width) * wide;
    if (wide === 2) raw[at] = value >> 8;
    raw[at + wide - 1] = value & 255;
  });
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head[8] = 8 * wide;
  const blocks = [chunk("IHDR", head), chunk("IDAT", await compressed(raw, "deflate")), chunk("IEND", new Uint8Array(0))];
  return new Uint8Array(await new Blob([Uint8Array.from(PNG), ...blocks]).arrayBuffer());
}

function chunk(name, body) {
  const made = new Uint8Array(12 + body.length);
  const view = new DataView(made.buffer);
  view.setUint32(0, body.length);
  made.set(new TextEncoder().encode(name), 4);
  made.set(body, 8);
  view.setUint32(8 + body.length, crc32(made.subarray(4, 8 + body.length)));
  return made;
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}
