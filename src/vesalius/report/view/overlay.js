/** What is written over the picture: the patient's sides, a scale, colour bars, lengths. Redrawn with every picture. */

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const WORDS = { L: "the left", R: "the right", A: "the front", P: "the back", S: "above", I: "below" };
const ENDS = { L: "left", R: "right", A: "front", P: "back", S: "head end", I: "feet end" };

/** Draw it all into an SVG element; `ink` and `paper` are colours, `marks` the chosen points, `aim` shows the middle. */
function drawOverlay(svg, scene, camera, look, { width, height }, { ink, paper, lengths, marks, aim }) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  const shape = (name, attributes, parent = svg) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return parent.appendChild(made);
  };
  const write = (text, x, y, more = {}) => {
    const halo = { stroke: paper, "stroke-width": 3, "stroke-linejoin": "round", "paint-order": "stroke" };
    const made = shape("text", { x, y, fill: ink, "font-family": FONT, "font-size": 13, ...halo, ...more });
    made.textContent = text;
    return made;
  };
  const size = { width, height };
  drawSides(write, camera, size);
  drawAxes(shape, write, camera, size, ink);
  if (!camera.perspective) drawScale(shape, write, camera, size, ink);
  drawBars(shape, write, scene, look, size, ink);
  const at = (point) => onScreen(camera, point, size);
  for (const { from, to, mm } of lengths) {
    const [[x1, y1], [x2, y2]] = [at(from), at(to)];
    for (const [stroke, thick] of [[paper, 5], [ink, 2]])
      shape("line", { x1, y1, x2, y2, stroke, "stroke-width": thick, "stroke-linecap": "round" });
    for (const [cx, cy] of [[x1, y1], [x2, y2]]) shape("circle", { cx, cy, r: 4, fill: ink, stroke: paper });
    const middle = { class: "length", "text-anchor": "middle", "font-weight": 600, "font-size": 14 };
    write(`${mm.toFixed(1)} mm`, (x1 + x2) / 2, (y1 + y2) / 2 - 8, middle);
  }
  for (const [cx, cy] of marks.map(at)) shape("circle", { cx, cy, r: 5, fill: "none", stroke: ink, "stroke-width": 2 });
  if (aim)
    for (const [stroke, thick] of [[paper, 4], [ink, 1.5]])
      shape("path", { d: `M${width / 2 - 12} ${height / 2}h24m-12 -12v24`, fill: "none", stroke, "stroke-width": thick });
}

/** Letters of the patient's sides at the edges of the picture. */
function drawSides(write, camera, { width, height }) {
  const [right, up] = rows(camera.axes);
  const back = (direction) => direction.map((part) => -part);
  const big = { "font-size": 17, "font-weight": 600, class: "side" };
  write(lettersOf(right), width - 12, height / 2 + 6, { ...big, "text-anchor": "end", "data-edge": "right" });
  write(lettersOf(back(right)), 12, height / 2 + 6, { ...big, "data-edge": "left" });
  write(lettersOf(up), width / 2, 24, { ...big, "text-anchor": "middle", "data-edge": "top" });
  write(lettersOf(back(up)), width / 2, height - 12, { ...big, "text-anchor": "middle", "data-edge": "bottom" });
}

/** The patient's axes, as they turn with the scene, in the lower right corner. */
function drawAxes(shape, write, camera, { width, height }, ink) {
  const [right, up, towards] = rows(camera.axes);
  const [x, y, long] = [width - 58, height - 58, 34];
  const ends = [0, 1, 2].flatMap((axis) =>
    [1, -1].map((sign) => ({
      letter: LETTERS[axis][sign > 0 ? 0 : 1],
      place: [sign * right[axis], -sign * up[axis], sign * towards[axis]],
    })),
  );
  ends.sort((a, b) => a.place[2] - b.place[2]); // the farthest first
  for (const { letter, place } of ends) {
    const [px, py, near] = place;
    const faint = near < -0.05 ? 0.35 : 1;
    const [x2, y2] = [x + long * px, y + long * py];
    shape("line", { x1: x, y1: y, x2, y2, stroke: ink, "stroke-width": 1.5, opacity: 0.6 * faint });
    const [tx, ty] = [x + (long + 10) * px, y + (long + 10) * py + 4];
    write(letter, tx, ty, { "text-anchor": "middle", "font-size": 12, "font-weight": 600, opacity: faint, class: "axis" });
  }
}

/** A bar of 1, 2 or 5 times a power of ten millimetres. */
function drawScale(shape, write, camera, { width, height }, ink) {
  const mm = (2 * camera.half) / height;
  const most = 0.22 * width * mm * (1 + 1e-9);
  const power = 10 ** Math.floor(Math.log10(most));
  const long = [5, 2, 1].find((digit) => digit * power <= most) * power;
  const [x, y, end] = [16, height - 18, 16 + long / mm];
  shape("path", { d: `M${x} ${y - 6}v12M${x} ${y}H${end}M${end} ${y - 6}v12`, fill: "none", stroke: ink, "stroke-width": 2 });
  write(`${Number(long.toPrecision(3))} mm`, (x + end) / 2, y - 9, {
    "text-anchor": "middle",
    class: "scale",
    "data-px-per-mm": 1 / mm,
  });
}

/** The bars of the values that are seen. */
function drawBars(shape, write, scene, look, { height }, ink) {
  let y = 22;
  scene.scales.forEach((bar, row) => {
    const seen = scene.structures.some(({ scale }, k) => scale === row && look.structures[k].visible);
    if (!seen) return;
    const tall = Math.min(180, height * 0.3);
    const gradient = shape("linearGradient", { id: `bar${row}`, x1: 0, x2: 0, y1: 1, y2: 0 });
    for (let k = 0; k < 256; k += 5)
      shape("stop", { offset: k / 255, "stop-color": `rgb(${bar.colours[k]})` }, gradient);
    write(bar.title, 16, y, { class: "bar" });
    shape("rect", { x: 16, y: y + 10, width: 16, height: tall, fill: `url(#bar${row})`, stroke: ink, "stroke-width": 0.5 });
    for (const share of [0, 0.5, 1])
      write(told(bar.low + share * (bar.high - bar.low)), 40, y + 10 + tall * (1 - share) + 4, { "font-size": 12 });
    y += tall + 42;
  });
}

/** A number to three digits, with a real minus. */
const told = (number) => `${Number(number.toPrecision(3))}`.replace("-", "−");

/** In words: from where one looks, and what is on the right. */
function facing(camera) {
  const [right, , towards] = rows(camera.axes);
  const from = [...lettersOf(towards)].map((letter) => WORDS[letter]).join(", ");
  return `Seen from ${from}. The patient’s ${ENDS[lettersOf(right)[0]]} is on the right of the picture.`;
}

/** A point in words: how far to the patient's left or right, front or back, head or feet, from the scanner's origin. */
function inWords(point) {
  return `${point.map((mm, axis) => `${LETTERS[axis][mm < 0 ? 1 : 0]} ${Math.abs(mm).toFixed(1)}`).join(", ")} mm`;
}
