/** Surfaces out of the page's bytes: the way back from what vesalius.report.view.packing writes. */

const SHARP = 0.72; // cosine: more than 44° between a triangle and its corner's normal, and there is an edge

/** The bytes of base64 text, decompressed. */
async function unpack(text) {
  const letters = atob(text);
  const packed = new Uint8Array(letters.length);
  for (let k = 0; k < letters.length; k++) packed[k] = letters.charCodeAt(k);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * The structures of a scene in arrays for the graphics card.
 *
 * `places` holds x, y, z (steps of the lattice) and the structure's number for each vertex, `normals` x, y, z and nothing,
 * -127 to 127, `values` 1 to 65,535 and 0 for none. `corners` are vertices, three for a triangle; `parts` says of each
 * structure where its triangles begin and how many there are.
 */
function readSurfaces(scene, bytes) {
  const read = [];
  let at = 0;
  for (const { vertices, faces, scale } of scene.structures) {
    const corners = new Uint32Array(3 * faces);
    const next = () => {
      let number = 0;
      for (let shift = 0, byte = 128; byte & 128; shift += 7) {
        byte = bytes[at++];
        number |= (byte & 127) << shift;
      }
      return number;
    };
    for (let k = 0, first = 0; k < corners.length; k += 3) {
      first += next();
      corners[k] = first;
      corners[k + 1] = first + next();
      corners[k + 2] = first + next();
    }
    const places = new Uint16Array(3 * vertices);
    for (let axis = 0; axis < 3; axis++)
      for (let k = 0, place = 0; k < vertices; k++) {
        const low = at + axis * vertices + k;
        const zigzag = bytes[low] | (bytes[low + 3 * vertices] << 8);
        place += (zigzag >> 1) ^ -(zigzag & 1);
        places[3 * k + axis] = place; // modulo 65,536, as it was written
      }
    at += 6 * vertices;
    const values = scale === undefined ? null : new Uint16Array(vertices);
    for (let k = 0; values && k < vertices; k++, at += 2) values[k] = bytes[at] | (bytes[at + 1] << 8);
    read.push(withNormals(places, corners, values));
  }
  return joined(read);
}

/** Normals at vertices, which are doubled where the surface has an edge. */
function withNormals(places, corners, values) {
  const flat = new Float32Array(corners.length);
  const sums = new Float32Array(places.length);
  for (let k = 0; k < corners.length; k += 3) {
    const [a, b, c] = [3 * corners[k], 3 * corners[k + 1], 3 * corners[k + 2]];
    const [px, py, pz] = [places[b] - places[a], places[b + 1] - places[a + 1], places[b + 2] - places[a + 2]];
    const [qx, qy, qz] = [places[c] - places[a], places[c + 1] - places[a + 1], places[c + 2] - places[a + 2]];
    const [x, y, z] = [py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx]; // twice the area long
    for (const corner of [a, b, c]) {
      sums[corner] += x;
      sums[corner + 1] += y;
      sums[corner + 2] += z;
    }
    const length = Math.hypot(x, y, z) || 1;
    flat.set([x / length, y / length, z / length], k);
  }
  for (let k = 0; k < sums.length; k += 3) {
    const length = Math.hypot(sums[k], sums[k + 1], sums[k + 2]) || 1;
    for (let axis = 0; axis < 3; axis++) sums[k + axis] /= length;
  }
  const sharp = [];
  for (let k = 0; k < corners.length; k++) {
    const [at, face] = [3 * corners[k], k - (k % 3)];
    const cosine = sums[at] * flat[face] + sums[at + 1] * flat[face + 1] + sums[at + 2] * flat[face + 2];
    if (cosine < SHARP) sharp.push(k);
  }
  const count = places.length / 3;
  const made = {
    places: new Uint16Array(3 * (count + sharp.length)),
    normals: new Int8Array(3 * (count + sharp.length)),
    values: values && new Uint16Array(count + sharp.length),
    corners,
  };
  made.places.set(places);
  made.normals.set(sums.map((share) => Math.round(127 * share)));
  made.values?.set(values);
  sharp.forEach((k, extra) => {
    const [from, to] = [corners[k], count + extra];
    for (let axis = 0; axis < 3; axis++) {
      made.places[3 * to + axis] = places[3 * from + axis];
      made.normals[3 * to + axis] = Math.round(127 * flat[k - (k % 3) + axis]);
    }
    if (values) made.values[to] = values[from];
    corners[k] = to;
  });
  return made;
}

/** All structures one after the other. */
function joined(read) {
  const vertices = read.reduce((sum, one) => sum + one.places.length / 3, 0);
  const corners = read.reduce((sum, one) => sum + one.corners.length, 0);
  const made = {
    places: new Uint16Array(4 * vertices),
    normals: new Int8Array(4 * vertices),
    values: read.some((one) => one.values) ? new Uint16Array(vertices) : null,
    corners: new Uint32Array(corners),
    parts: [],
  };
  let [vertex, corner] = [0, 0];
  read.forEach((one, structure) => {
    const count = one.places.length / 3;
    for (let k = 0; k < count; k++) {
      for (let axis = 0; axis < 3; axis++) {
        made.places[4 * (vertex + k) + axis] = one.places[3 * k + axis];
        made.normals[4 * (vertex + k) + axis] = one.normals[3 * k + axis];
      }
      made.places[4 * (vertex + k) + 3] = structure;
    }
    if (one.values) made.values.set(one.values, vertex);
    for (let k = 0; k < one.corners.length; k++) made.corners[corner + k] = one.corners[k] + vertex;
    made.parts.push({ start: corner, count: one.corners.length });
    vertex += count;
    corner += one.corners.length;
  });
  return made;
}

/** The ball around everything, in mm (LPS), and the box. */
function extentOf(scene, { places }) {
  const [low, high] = [[65535, 65535, 65535], [0, 0, 0]];
  for (let k = 0; k < places.length; k += 4)
    for (let axis = 0; axis < 3; axis++) {
      low[axis] = Math.min(low[axis], places[k + axis]);
      high[axis] = Math.max(high[axis], places[k + axis]);
    }
  const middle = low.map((least, axis) => (least + high[axis]) / 2);
  let farthest = 0;
  for (let k = 0; k < places.length; k += 4) {
    const [x, y, z] = [places[k] - middle[0], places[k + 1] - middle[1], places[k + 2] - middle[2]];
    farthest = Math.max(farthest, x * x + y * y + z * z);
  }
  const inMm = (steps) => steps.map((step, axis) => scene.origin[axis] + step * scene.step);
  return { centre: inMm(middle), radius: Math.sqrt(farthest) * scene.step, low: inMm(low), high: inMm(high) };
}

/**
 * The corners of simpler surfaces, for slow machines while something moves: vertices in one cell of a coarse lattice that
 * look the same way become one, and triangles that have lost a corner fall away.
 *
 * Source: J. Rossignac, P. Borrel, Multi-resolution 3D approximations for rendering complex scenes, 1993.
 */
function simpler({ places, normals, corners, parts }, most) {
  for (let coarse = 8; ; coarse++) {
    const made = { corners: [], parts: [] };
    for (const { start, count } of parts) {
      const first = new Map();
      const merged = (corner) => {
        const at = 4 * corner;
        let cell = 0;
        for (let k = at; k < at + 3; k++) cell = (cell * 256 + (places[k] >> coarse)) * 2 + (normals[k] < 0 ? 1 : 0);
        if (!first.has(cell)) first.set(cell, corner);
        return first.get(cell);
      };
      const begin = made.corners.length;
      for (let k = start; k < start + count; k += 3) {
        const [a, b, c] = [merged(corners[k]), merged(corners[k + 1]), merged(corners[k + 2])];
        if (a !== b && b !== c && c !== a) made.corners.push(a, b, c);
      }
      made.parts.push({ start: begin, count: made.corners.length - begin });
    }
    if (made.corners.length <= 3 * most || coarse === 11) return { ...made, corners: Uint32Array.from(made.corners) };
  }
}
