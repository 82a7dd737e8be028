/** A scan out of the page's bytes: the way back from what vesalius.report.view.scan writes. */

/** The greys of a scan, a byte a voxel, from differences along its rows. */
function readScan({ shape }, bytes) {
  if (bytes.length !== shape[0] * shape[1] * shape[2]) throw new Error("the scan has another size");
  for (let row = 0; row < bytes.length; row += shape[0])
    for (let k = row + 1; k < row + shape[0]; k++) bytes[k] += bytes[k - 1]; // modulo 256, as it was written
  return bytes;
}

/** The box of a scan, mm (LPS), to the outer faces of its voxels. */
function boxOf({ shape, origin, spacing }) {
  const low = origin.map((x, axis) => x - spacing[axis] / 2);
  return { low, high: low.map((x, axis) => x + shape[axis] * spacing[axis]) };
}

/** The grey at a point, 1 (black) to 255 (white), of the nearest voxel; 0 where there is no scan. */
function greyAt({ shape, origin, spacing }, greys, point) {
  const at = point.map((x, axis) => Math.round((x - origin[axis]) / spacing[axis]));
  if (at.some((k, axis) => k < 0 || k >= shape[axis])) return 0;
  return greys[(at[2] * shape[1] + at[1]) * shape[0] + at[0]];
}

/** A grey in words, as the value that it stands for: greys are steps, and the last two hold all that lies beyond. */
function valueInWords({ window: [low, high], unit }, shade) {
  const value = low + ((shade - 1) / 254) * (high - low);
  const power = 10 ** Math.floor(Math.log10((high - low) / 254));
  const rounded = Number((Math.round(value / power) * power).toPrecision(6));
  const beyond = shade === 1 ? "at most " : shade === 255 ? "at least " : "about ";
  return `${beyond}${`${rounded}`.replace("-", "−")}${unit ? ` ${unit}` : ""}`;
}

/** Surfaces and scan together: planes move through both, and both lie within reach. */
function withScan(extent, scan) {
  if (!scan) return { ...extent, reach: extent.radius };
  const { low, high } = boxOf(scan);
  const far = low.map((x, axis) => Math.max(Math.abs(x - extent.centre[axis]), Math.abs(high[axis] - extent.centre[axis])));
  return {
    ...extent,
    low: extent.low.map((x, axis) => Math.min(x, low[axis])),
    high: extent.high.map((x, axis) => Math.max(x, high[axis])),
    reach: Math.max(extent.radius, Math.hypot(...far)),
  };
}
