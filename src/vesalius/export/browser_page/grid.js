/**
 * A lattice of points in patient space: `{shape, affine}`, index to millimetres, LPS, as in vesalius.image.Grid.
 * `affine` is a list of rows, (n + 1) x (n + 1), for n = 2 or 3.
 */

const PAIRS = "LR PA SI".split(" "); // the positive and the negative end of each LPS axis
const ANISOTROPY = 3; // Source: nnU-Net's ANISO_THRESHOLD

/** Whole numbers as Python and NumPy round: a half goes to the even neighbour. */
export function roundEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

/** Number of points. */
export function sizeOf(grid) {
  return grid.shape.reduce((product, n) => product * n, 1);
}

const column = (affine, k) => affine.slice(0, -1).map((row) => row[k]);

/** Distance between neighbours on each axis, mm. */
export function spacingOf(grid) {
  return grid.shape.map((_, k) => Math.hypot(...column(grid.affine, k)));
}

/** Volume of a voxel in mm³; area of a pixel in mm² on a 2D grid. */
export function voxelSize(grid) {
  return Math.abs(determinant(grid.affine.slice(0, -1).map((row) => row.slice(0, -1))));
}

/** Determinant of a 2 x 2 or 3 x 3 matrix. */
export function determinant(m) {
  if (m.length === 2) return m[0][0] * m[1][1] - m[0][1] * m[1][0];
  return (
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
    m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
    m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
  );
}

/** The point of an index, mm. */
export function toPoint(grid, index) {
  return grid.affine.slice(0, -1).map((row) => row.reduce((sum, a, k) => sum + a * (index[k] ?? 1), 0));
}

/** A grid, checked: sizes of at least 1, an affine that is finite and spans the space. */
export function makeGrid(shape, affine) {
  if (!affine.flat().every(Number.isFinite)) throw new Error("its affine holds NaN or infinity");
  const lengths = shape.map((_, k) => Math.hypot(...column(affine, k)));
  const turn = affine.slice(0, -1).map((row) => row.slice(0, -1).map((a, k) => a / lengths[k]));
  if (lengths.some((length) => !(length > 0)) || Math.abs(determinant(turn)) < 1e-6)
    throw new Error("its affine is singular: the axes do not span the space");
  return { shape: [...shape], affine };
}

/** Which patient axis each index axis follows best, each once, and in which sense (1 or -1). */
export function nearestAxes(grid) {
  const n = grid.shape.length;
  const spacing = spacingOf(grid);
  const cosine = (axis, k) => grid.affine[axis][k] / spacing[k];
  const fit = (order) => order.reduce((sum, axis, k) => sum + Math.abs(cosine(axis, k)), 0);
  let best = null;
  for (const order of permutations(n))
    if (best === null || Number(fit(order).toFixed(9)) > Number(fit(best).toFixed(9))) best = order;
  return { order: best, signs: best.map((axis, k) => (cosine(axis, k) >= 0 ? 1 : -1)) };
}

/** All orders of 0 … n - 1, the smallest first. */
function permutations(n, taken = []) {
  if (taken.length === n) return [taken];
  const rest = [...Array(n).keys()].filter((k) => !taken.includes(k));
  return rest.flatMap((k) => permutations(n, [...taken, k]));
}

/**
 * How to turn a 3D grid so that its axes point to L, P and S as well as they can; nothing is interpolated.
 * Returns `{order, flipped, grid}`: new axis k is old axis `order[k]`, reversed where `flipped[k]`.
 */
export function turnToLps(grid) {
  if (grid.shape.length === 2) return { order: [0, 1], flipped: [false, false], grid };
  const { order: follows, signs } = nearestAxes(grid);
  const order = [0, 1, 2].map((axis) => follows.indexOf(axis));
  const flipped = order.map((k) => signs[k] < 0);
  const affine = grid.affine.map((row) => [...order.map((k) => row[k]), row[3]]);
  const shape = order.map((k) => grid.shape[k]);
  for (let k = 0; k < 3; k++) {
    if (!flipped[k]) continue;
    for (let row = 0; row < 3; row++) {
      affine[row][3] += affine[row][k] * (shape[k] - 1);
      affine[row][k] = -affine[row][k];
    }
  }
  return { order, flipped, grid: { shape, affine } };
}

/** The box of `shape` points whose first point is index `start`. */
export function cropGrid(grid, start, shape) {
  const point = toPoint(grid, start);
  const affine = grid.affine.map((row, r) => (r < point.length ? [...row.slice(0, -1), point[r]] : [...row]));
  return { shape: [...shape], affine };
}

/** The grid of another spacing over the same extent, centred on the old one, as Grid.with_spacing. */
export function withSpacing(grid, spacing) {
  const old = spacingOf(grid);
  const shape = grid.shape.map((n, k) => Math.max(1, roundEven((n * old[k]) / spacing[k])));
  const centre = toPoint(grid, grid.shape.map((n) => (n - 1) / 2));
  const affine = grid.affine.map((row, r) =>
    r < centre.length ? row.map((a, k) => (k < shape.length ? (a / old[k]) * spacing[k] : a)) : [...row],
  );
  for (let r = 0; r < centre.length; r++)
    affine[r][shape.length] = centre[r] - shape.reduce((sum, n, k) => sum + (affine[r][k] * (n - 1)) / 2, 0);
  return { shape, affine };
}

/** The through-plane axis of an anisotropic grid, or -1. Source: nnU-Net, determine_do_sep_z_and_axis. */
export function coarseAxis(grid) {
  if (grid.shape.length === 2) return -1;
  const spacing = spacingOf(grid);
  const most = Math.max(...spacing);
  const coarsest = [0, 1, 2].filter((k) => spacing[k] > most * (1 - 1e-3));
  return most <= ANISOTROPY * Math.min(...spacing) || coarsest.length !== 1 ? -1 : coarsest[0];
}

/** The anatomical end that each axis points to, such as "LPS"; only of 3D grids. */
export function axisCodes(grid) {
  const { order, signs } = nearestAxes(grid);
  return order.map((axis, k) => PAIRS[axis][signs[k] > 0 ? 0 : 1]).join("");
}
