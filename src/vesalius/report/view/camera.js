/**
 * From where one looks, and how points come onto the screen.
 *
 * A camera is `{axes, target, half, perspective}`: nine numbers (the directions right, up and towards the viewer, in LPS),
 * the point in the middle of the picture (mm), half of the picture's height there (mm), and whether near things are larger.
 */

const ANGLE = Math.PI / 12; // half of the angle of view with perspective: 30° in all
const MARGIN = 1.12; // the picture's height to the figure's

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const along = (start, direction, far) => start.map((from, axis) => from + far * direction[axis]);
const rows = (axes) => [axes.slice(0, 3), axes.slice(3, 6), axes.slice(6, 9)];

/** The patient's axis (0 x, 1 y, 2 z) that runs most towards the viewer, and in which sense: 1 or -1. */
function facingAxis(axes) {
  const towards = rows(axes)[2];
  const axis = towards.reduce((best, x, k) => (Math.abs(x) > Math.abs(towards[best]) ? k : best), 0);
  return { axis, sense: Math.sign(towards[axis]) };
}

/** A camera that sees the whole extent from a view's axes. */
function fittedCamera(axes, extent, aspect, perspective) {
  const half = (MARGIN * extent.radius) / Math.min(1, aspect);
  // What bulges towards the viewer looks larger: the ball's outline, not its section, must fit.
  return { axes, target: extent.centre, half: perspective ? half / Math.cos(ANGLE) : half, perspective };
}

/** Turned about the picture's own axes: `across` to the right, `upwards`, and `around` the middle, in radians. */
function turnedCamera(camera, across, upwards, around = 0) {
  let [right, up, towards] = rows(camera.axes);
  const turn = (a, b, angle) => {
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    return [a.map((x, axis) => c * x + s * b[axis]), a.map((x, axis) => c * b[axis] - s * x)];
  };
  [right, towards] = turn(right, towards, across);
  [up, towards] = turn(up, towards, upwards);
  [right, up] = turn(right, up, around);
  // Rounding adds up over thousands of turns.
  towards = unit(towards);
  right = unit(minus(right, along([0, 0, 0], towards, dot(right, towards))));
  up = [
    towards[1] * right[2] - towards[2] * right[1],
    towards[2] * right[0] - towards[0] * right[2],
    towards[0] * right[1] - towards[1] * right[0],
  ];
  return { ...camera, axes: [...right, ...up, ...towards] };
}

function unit(vector) {
  const length = Math.hypot(...vector);
  return vector.map((x) => x / length);
}

/** Moved so that what was in the middle lies so many pixels to the right and down. */
function movedCamera(camera, right, down, height) {
  const mm = (2 * camera.half) / height;
  const [x, y] = rows(camera.axes);
  return { ...camera, target: along(along(camera.target, x, -right * mm), y, down * mm) };
}

/** How far the viewer is from the target. */
const distanceOf = (camera) => camera.half / Math.tan(ANGLE);

/** The matrix (columns one after the other) from mm about the target to the clip space of the graphics card. */
function projectionOf(camera, aspect, reach) {
  const [right, up, towards] = rows(camera.axes);
  const [sx, sy] = [1 / (camera.half * aspect), 1 / camera.half];
  const columns = [0, 1, 2];
  if (!camera.perspective)
    return [...columns.flatMap((k) => [right[k] * sx, up[k] * sy, -towards[k] / reach, 0]), 0, 0, 0, 1];
  const distance = distanceOf(camera);
  const near = Math.max(distance - reach, distance / 100);
  const far = distance + reach;
  // Depth z' = z - distance; clip w = -z', clip z = (-(f + n) z' - 2 f n) / (f - n).
  const [p, q] = [-(far + near) / (far - near), (-2 * far * near) / (far - near)];
  const matrix = columns.flatMap((k) => [
    right[k] * sx * distance,
    up[k] * sy * distance,
    towards[k] * p,
    -towards[k],
  ]);
  return [...matrix, 0, 0, q - distance * p, distance];
}

/** Where a point (mm, LPS) lies in the picture: pixels to the right and down. */
function onScreen(camera, point, { width, height }) {
  const place = rows(camera.axes).map((axis) => dot(axis, minus(point, camera.target)));
  const distance = distanceOf(camera);
  const scale = (height / (2 * camera.half)) * (camera.perspective ? distance / (distance - place[2]) : 1);
  return [width / 2 + place[0] * scale, height / 2 - place[1] * scale];
}

/** The line of sight through a pixel: a point on it (mm, LPS) and its direction, away from the viewer. */
function sightThrough(camera, x, y, { width, height }, reach) {
  const [right, up, towards] = rows(camera.axes);
  const mm = (2 * camera.half) / height;
  const seen = along(along(camera.target, right, (x - width / 2) * mm), up, (height / 2 - y) * mm);
  if (!camera.perspective) return { start: along(seen, towards, reach), direction: towards.map((part) => -part) };
  const start = along(camera.target, towards, distanceOf(camera));
  return { start, direction: unit(minus(seen, start)) };
}

const LETTERS = [["L", "R"], ["P", "A"], ["S", "I"]]; // where each axis of LPS points, and where it comes from
const SIDES = { L: "left", R: "right", P: "behind", A: "the front", S: "above", I: "below" };
const TOLD = Math.sin(Math.PI / 12); // an axis that is less than this in a direction is not told

/** Letters of the patient's sides towards which a direction points, the nearest first. */
function lettersOf(direction) {
  return [0, 1, 2]
    .filter((axis) => Math.abs(direction[axis]) > TOLD)
    .sort((a, b) => Math.abs(direction[b]) - Math.abs(direction[a]))
    .map((axis) => LETTERS[axis][direction[axis] < 0 ? 1 : 0])
    .join("");
}
