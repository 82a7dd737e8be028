/** An image and its labels on the screen: one picture, or three planes through a volume, as radiologists hang them. */

const PLANES = [
  // across and down are axes of the turned image (0 to the left, 1 to the back, 2 to the head); up: drawn reversed
  { name: "Axial", through: 2, across: 0, down: 1, up: false, ends: { left: "R", right: "L", top: "A", bottom: "P" } },
  { name: "Coronal", through: 1, across: 0, down: 2, up: true, ends: { left: "R", right: "L", top: "S", bottom: "I" } },
  { name: "Sagittal", through: 0, across: 1, down: 2, up: true, ends: { left: "A", right: "P", top: "S", bottom: "I" } },
];
const MARGIN = 44; // pixels around a picture in all, where the letters of its ends stand
const PICTURE = [{ name: "", through: null, across: 0, down: 1, up: false, ends: {} }];

/**
 * Show an image in an element.
 *
 * `image` is `{channels, shape, spacing}`, its axes turned to LPS; `colours` holds a label's colour by its value;
 * `colourful` says that the three channels are red, green and blue. Returns the functions that change what is shown.
 */
export function showImage(element, image, { colours, colourful }) {
  const shape = image.shape.length === 3 ? image.shape : [...image.shape, 1];
  const spacing = image.shape.length === 3 ? image.spacing : [...image.spacing, 1];
  const planes = image.shape.length === 3 ? PLANES : PICTURE;
  const strides = image.shape.length === 3 ? [shape[1] * shape[2], shape[2], 1] : [shape[1], 1, 0];
  const state = { at: shape.map((n) => n >> 1), labels: null, visible: true, hidden: new Set(), opacity: 0.45, channel: 0 };
  const usual = image.channels.map(usualWindow);
  let display = usual.map((window) => ({ ...window }));
  element.classList.toggle("single", planes.length === 1);
  const views = planes.map((plane) => makePlane(plane, shape, (axis, index) => move(axis, index)));
  element.replaceChildren(...views.map((view) => view.element));

  function move(axis, index) {
    state.at[axis] = Math.min(Math.max(index, 0), shape[axis] - 1);
    draw();
  }

  function draw() {
    for (const view of views) {
      const pixels = render(view.plane);
      view.show(pixels, spacing, state.at);
    }
  }

  function render({ through, across, down, up }) {
    const [width, height] = [shape[across], shape[down]];
    const pixels = new ImageData(width, height);
    const start = through === null ? 0 : state.at[through] * strides[through];
    const shown = colourful ? [0, 1, 2] : [state.channel, state.channel, state.channel];
    for (let y = 0, to = 0; y < height; y++) {
      const row = start + (up ? height - 1 - y : y) * strides[down];
      for (let x = 0; x < width; x++, to += 4) {
        const from = row + x * strides[across];
        const value = state.labels?.[from] ?? 0;
        const paint = value > 0 && state.visible && !state.hidden.has(value) ? colours.get(value) : null;
        for (let c = 0; c < 3; c++) {
          const { low, high } = display[shown[c]];
          const grey = (255 * (image.channels[shown[c]][from] - low)) / (high - low);
          const plain = Math.min(Math.max(grey, 0), 255);
          pixels.data[to + c] = paint ? (1 - state.opacity) * plain + state.opacity * paint[c] : plain;
        }
        pixels.data[to + 3] = 255;
      }
    }
    return pixels;
  }

  new ResizeObserver(draw).observe(element);
  draw();
  return {
    setLabels(labels) {
      state.labels = labels;
      if (labels !== null && planes.length === 3) state.at = middleOf(labels, shape, strides) ?? state.at;
      draw();
    },
    setHidden(value, hidden) {
      if (hidden) state.hidden.add(value);
      else state.hidden.delete(value);
      draw();
    },
    toggle() {
      state.visible = !state.visible;
      draw();
    },
    setOpacity(share) {
      state.opacity = share;
      draw();
    },
    setWindow(brightness, contrast) {
      // Both 0 to 1; at a half the window is the usual one.
      display = usual.map(({ low, high }) => {
        const width = (high - low) * 4 ** (1 - 2 * contrast);
        const centre = (low + high) / 2 + (0.5 - brightness) * 2 * (high - low);
        return { low: centre - width / 2, high: centre + width / 2 };
      });
      draw();
    },
    setChannel(channel) {
      state.channel = channel;
      draw();
    },
  };
}

/** One plane: its canvas, its slider, the letters at its ends. */
function makePlane(plane, shape, move) {
  const element = made("div", "plane");
  const title = made("h3");
  const picture = made("div", "picture");
  const canvas = made("canvas");
  const where = made("span");
  title.append(plane.name, where);
  picture.append(canvas, ...Object.entries(plane.ends).map(([place, letter]) => made("span", `end ${place}`, letter)));
  element.append(...(plane.name ? [title] : [made("span")]), picture);
  let slider = null;
  if (plane.through !== null) {
    slider = made("input");
    Object.assign(slider, { type: "range", min: 0, max: shape[plane.through] - 1, step: 1 });
    slider.setAttribute("aria-label", `${plane.name} slice`);
    slider.addEventListener("input", () => move(plane.through, slider.valueAsNumber));
    element.append(slider);
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        move(plane.through, slider.valueAsNumber + Math.sign(event.deltaY));
      },
      { passive: false },
    );
  }
  let box = null;
  const point = (event) => {
    if (box === null || plane.through === null || event.buttons !== 1) return;
    const x = Math.floor(((event.offsetX - box.left) / box.width) * shape[plane.across]);
    const y = Math.floor(((event.offsetY - box.top) / box.height) * shape[plane.down]);
    move(plane.across, x);
    move(plane.down, plane.up ? shape[plane.down] - 1 - y : y);
  };
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointermove", point);

  function show(pixels, spacing, at) {
    const ratio = globalThis.devicePixelRatio;
    const [width, height] = [picture.clientWidth, picture.clientHeight];
    if (width <= MARGIN || height <= MARGIN) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const real = [pixels.width * spacing[plane.across], pixels.height * spacing[plane.down]];
    const scale = Math.min((width - MARGIN) / real[0], (height - MARGIN) / real[1]);
    const size = real.map((length) => length * scale);
    box = { left: (width - size[0]) / 2, top: (height - size[1]) / 2, width: size[0], height: size[1] };
    const source = new OffscreenCanvas(pixels.width, pixels.height);
    source.getContext("2d").putImageData(pixels, 0, 0);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.imageSmoothingEnabled = false; // voxels are shown as they are
    context.drawImage(source, box.left, box.top, box.width, box.height);
    if (plane.through === null) return;
    crosshair(context, box, [
      (at[plane.across] + 0.5) / pixels.width,
      plane.up ? 1 - (at[plane.down] + 0.5) / pixels.height : (at[plane.down] + 0.5) / pixels.height,
    ]);
    slider.value = at[plane.through];
    where.textContent = `${at[plane.through] + 1} / ${shape[plane.through]}`;
  }

  return { element, plane, show };
}

function crosshair(context, box, [x, y]) {
  const [column, row] = [box.left + x * box.width, box.top + y * box.height];
  const gap = 9;
  context.strokeStyle = "rgb(124 199 196 / 55%)";
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(box.left, row);
  context.lineTo(column - gap, row);
  context.moveTo(column + gap, row);
  context.lineTo(box.left + box.width, row);
  context.moveTo(column, box.top);
  context.lineTo(column, row - gap);
  context.moveTo(column, row + gap);
  context.lineTo(column, box.top + box.height);
  context.stroke();
}

/** Grey values from the 0.5th to the 99.5th percentile of a channel. */
function usualWindow(array) {
  const step = Math.max(1, Math.floor(array.length / 200_000));
  const some = Float32Array.from({ length: Math.ceil(array.length / step) }, (_, n) => array[n * step]).sort();
  const low = some[Math.floor(0.005 * (some.length - 1))];
  const high = some[Math.ceil(0.995 * (some.length - 1))];
  return high > low ? { low, high } : { low, high: low + 1 };
}

/** The middle of what is labelled, or null. */
function middleOf(labels, shape, strides) {
  const sums = [0, 0, 0];
  let count = 0;
  for (let n = 0; n < labels.length; n++) {
    if (labels[n] === 0) continue;
    count += 1;
    sums.forEach((_, k) => (sums[k] += Math.floor(n / strides[k]) % shape[k]));
  }
  return count === 0 ? null : sums.map((sum) => Math.round(sum / count));
}

function made(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}
