/** What lies under the pointer: the line of sight against every triangle that is seen. */

/**
 * The nearest point on what is opaque, slices of the scan among it; where there is nothing opaque, on what is not.
 *
 * Returns `{point, structure, value, shade}`, or null: mm, LPS; the structure, or null of a slice beside all of them; the
 * value where the structure has any, else null; the grey of the scan on a slice, else 0.
 * Source: T. Möller, B. Trumbore, Fast, minimum storage ray-triangle intersection, Journal of Graphics Tools 2(1), 1997.
 */
function pick(scene, surfaces, greys, look, { start, direction }) {
  const from = start.map((x, axis) => (x - scene.origin[axis]) / scene.step); // in steps of the lattice
  const kept = keptOf(scene, look, from, direction);
  const opaque = nearest(scene, surfaces, from, direction, kept, (k) => {
    const { visible, opacity } = look.structures[k];
    return visible && opacity >= OPAQUE;
  });
  const slice = pickSlice(scene.scan, greys, look, { start, direction });
  const behind = opaque === null ? Infinity : opaque.far * scene.step;
  if (slice !== null && slice.far <= behind + scene.step) {
    // What is cut through here lies at the slice: it is tinted.
    const there = behind <= slice.far + scene.step && opaque.inside ? opaque.structure : null;
    return { point: slice.point, structure: there, value: null, shade: slice.shade };
  }
  const found = opaque ?? nearest(scene, surfaces, from, direction, kept, (k) => isClear(look.structures[k]));
  if (found === null) return null;
  const point = along(from, direction, found.far).map((x, axis) => scene.origin[axis] + x * scene.step);
  return { point, structure: found.structure, value: found.value, shade: 0 };
}

/** Between which distances the line of sight is not clipped away. */
function keptOf(scene, look, from, direction) {
  let [enter, leave] = [-Infinity, Infinity];
  look.clips.forEach(({ on, at, side }, axis) => {
    if (!on || side === 0) return;
    const beyond = side * (from[axis] - (at - scene.origin[axis]) / scene.step); // more than 0: hidden
    const speed = side * direction[axis];
    if (speed === 0) [enter, leave] = beyond > 0 ? [Infinity, -Infinity] : [enter, leave];
    else if (speed < 0) enter = Math.max(enter, -beyond / speed);
    else leave = Math.min(leave, -beyond / speed);
  });
  return { enter, leave, cut: enter > -Infinity };
}

function nearest(scene, { places, corners, values, parts }, from, direction, { enter, leave, cut }, wanted) {
  let best = null;
  const [dx, dy, dz] = direction;
  parts.forEach(({ start, count }, structure) => {
    if (!wanted(structure)) return;
    for (let k = start; k < start + count; k += 3) {
      const [a, b, c] = [4 * corners[k], 4 * corners[k + 1], 4 * corners[k + 2]];
      const [ax, ay, az] = [places[a], places[a + 1], places[a + 2]];
      const [px, py, pz] = [places[b] - ax, places[b + 1] - ay, places[b + 2] - az];
      const [qx, qy, qz] = [places[c] - ax, places[c + 1] - ay, places[c + 2] - az];
      const [hx, hy, hz] = [dy * qz - dz * qy, dz * qx - dx * qz, dx * qy - dy * qx];
      const size = px * hx + py * hy + pz * hz;
      if (size === 0) continue;
      const [sx, sy, sz] = [from[0] - ax, from[1] - ay, from[2] - az];
      const u = (sx * hx + sy * hy + sz * hz) / size;
      if (u < 0 || u > 1) continue;
      const [rx, ry, rz] = [sy * pz - sz * py, sz * px - sx * pz, sx * py - sy * px];
      const v = (dx * rx + dy * ry + dz * rz) / size;
      if (v < 0 || u + v > 1) continue;
      const far = (qx * rx + qy * ry + qz * rz) / size;
      if (far < Math.max(enter, 0) || far > leave) continue;
      const inside = size < 0; // the triangle is seen from behind
      // Where bodies touch, the inside of the one that is cut goes first, as in the picture: by a step of the lattice.
      const order = cut && inside && scene.structures[structure].closed ? far - 1 : far;
      if (best !== null && order >= best.order) continue;
      best = { far, order, structure, inside, value: valueAt(scene, structure, values, corners, k, u, v) };
    }
  });
  // The inside of a body is seen where it is cut through: the point is on the cut.
  if (best !== null && best.inside && cut && scene.structures[best.structure].closed)
    best = { ...best, far: Math.max(enter, 0), value: null };
  return best;
}

/** The value between a triangle's corners. */
function valueAt(scene, structure, values, corners, k, u, v) {
  const { scale, low, high } = scene.structures[structure];
  const words = scale === undefined ? [0] : [0, 1, 2].map((corner) => values[corners[k + corner]]);
  if (words.some((word) => word === 0)) return null;
  return low + ((1 - u - v) * words[0] + u * words[1] + v * words[2] - 1) * ((high - low) / 65534);
}
