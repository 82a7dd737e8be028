/** Boxes of numbers: flat typed arrays in which the last axis of the shape runs fastest. */

/** How far neighbours on each axis lie apart. */
export function stridesOf(shape) {
  const strides = new Array(shape.length).fill(1);
  for (let k = shape.length - 2; k >= 0; k--) strides[k] = strides[k + 1] * shape[k + 1];
  return strides;
}

/** Two or three axes as three: a picture becomes a volume of one slice. */
export function asThree(values, fill) {
  return values.length === 3 ? values : [fill, ...values];
}

/**
 * Permute and reverse axes: new axis k is old axis `order[k]`, reversed where `flipped[k]`.
 * `strides` are those of the array that is given; left out, its last axis runs fastest.
 */
export function turned(array, shape, order, flipped, strides = stridesOf(shape)) {
  const made = order.map((k) => shape[k]);
  const sizes = asThree(made, 1);
  const steps = asThree(order.map((k, n) => (flipped[n] ? -strides[k] : strides[k])), 0);
  const start = order.reduce((sum, k, n) => sum + (flipped[n] ? strides[k] * (shape[k] - 1) : 0), 0);
  const result = new array.constructor(array.length);
  let at = 0;
  for (let i = 0; i < sizes[0]; i++)
    for (let j = 0; j < sizes[1]; j++) {
      let from = start + i * steps[0] + j * steps[1];
      for (let k = 0; k < sizes[2]; k++, from += steps[2]) result[at++] = array[from];
    }
  return result;
}

/** Turn back what `turned` turned; `shape` is that of the turned array. */
export function turnedBack(array, shape, order, flipped) {
  const back = order.map((_, k) => order.indexOf(k));
  return turned(array, shape, back, back.map((n) => flipped[n]));
}

/** A box out of an array. */
export function cropped(array, shape, start, size) {
  const whole = asThree(shape, 1);
  const first = asThree(start, 0);
  const sizes = asThree(size, 1);
  const made = new array.constructor(sizes[0] * sizes[1] * sizes[2]);
  let at = 0;
  for (let i = 0; i < sizes[0]; i++)
    for (let j = 0; j < sizes[1]; j++, at += sizes[2]) {
      const from = ((first[0] + i) * whole[1] + first[1] + j) * whole[2] + first[2];
      made.set(array.subarray(from, from + sizes[2]), at);
    }
  return made;
}
