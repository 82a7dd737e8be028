/** The page: reads its bytes, and joins the view to buttons, pointers and keys. */

const STEP = Math.PI / 36; // of a key: 5°
const PIXEL = Math.PI / 400; // of a pointer: a quarter turn in 200 pixels
const element = (id) => document.getElementById(id);

/** Tell what went wrong in place of the picture. */
function fail(message) {
  element("problem").textContent = message;
  element("problem").hidden = false;
  element("status").textContent = "";
}

async function start() {
  const scene = JSON.parse(element("scene").textContent);
  for (const bar of scene.scales) {
    const bytes = bar.colours.match(/../g).map((digits) => parseInt(digits, 16));
    bar.colours = Array.from({ length: bytes.length / 3 }, (_, k) => bytes.slice(3 * k, 3 * k + 3));
  }
  if (typeof DecompressionStream === "undefined")
    return fail("This browser is too old for this page. Firefox 113, Chrome 80, Edge 80, Safari 16.4 and later show it.");
  let surfaces, greys;
  try {
    surfaces = readSurfaces(scene, await unpack(element("data").textContent.trim()));
    greys = scene.scan && readScan(scene.scan, await unpack(element("scan").textContent.trim()));
  } catch {
    return fail("This file is damaged or was cut off: its surfaces cannot be read.");
  }
  for (const id of ["data", "scan"]) element(id).remove(); // several megabytes that are not needed again
  const extent = withScan(extentOf(scene, surfaces), scene.scan);
  const artist = makeArtist(element("picture"), scene, surfaces, greys, extent);
  if (artist === null)
    return fail("This browser gives no WebGL 2, which draws the surfaces. Switch hardware acceleration on, or try another one.");
  run(scene, surfaces, greys, extent, artist);
}

function run(scene, surfaces, greys, extent, artist) {
  const [canvas, svg] = [element("picture"), element("overlay")];
  const measuring = makeMeasuring(scene, {
    button: element("measure"),
    list: element("lengths"),
    status: element("status"),
    canvas,
    pickAt: (x, y) => view.pickAt(x, y),
    redraw: () => view.redraw(),
  });
  const view = makeView(scene, surfaces, greys, extent, artist, { canvas, svg, overlay: measuring.overlay, drawn });

  function drawn(camera) {
    const seen = facing(camera);
    if (element("facing").textContent === seen) return;
    element("facing").textContent = seen;
    canvas.setAttribute("aria-label", `Three-dimensional picture. ${seen}`);
  }
  function setPerspective(on) {
    element("perspective").setAttribute("aria-pressed", String(on));
    view.see({ ...view.camera, perspective: on });
  }

  for (const name of Object.keys(scene.views)) element(`view-${name}`).addEventListener("click", () => view.from(name));
  element("reset").addEventListener("click", view.reset);
  element("perspective").addEventListener("click", () => setPerspective(!view.camera.perspective));
  element("save").addEventListener("click", () => savePicture(canvas, svg, view.drawNow));
  element("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    view.redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", view.redraw);
  makeStructures(element("structures"), [element("show-all"), element("hide-all")], scene, view.look, view.move);
  const planes = makePlanes(element("planes"), scene, extent, view.look, view.move);
  makeSliceControls(element("slices"), view.look, view.move);
  followPointers(canvas, {
    turn: (x, y, around) => view.turn(PIXEL * x, -PIXEL * y, around),
    move: view.shift,
    zoom: view.zoom,
    choose: measuring.choose,
    centre(x, y) {
      const hit = view.pickAt(x, y);
      if (hit !== null) view.see({ ...view.camera, target: hit.point });
    },
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !pressed(event)) return;
    event.preventDefault();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, view.redraw);

  const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  /** Move the plane that looks most at the viewer by a voxel of the scan, or a millimetre: towards the viewer, or away. */
  function stepped(towards) {
    const { axis, sense } = facingAxis(view.camera.axes);
    return planes.step(axis, towards * sense * (scene.scan?.spacing[axis] ?? 1));
  }
  const letters = Object.fromEntries(Object.keys(scene.views).map((name) => [name[0], name]));
  /** Whether the key means anything here. */
  function pressed({ key, shiftKey }) {
    const [turn, letter] = [turns[key], key.toLowerCase()];
    if (turn && shiftKey) view.shift(20 * turn[0], -20 * turn[1]);
    else if (turn) view.turn(STEP * turn[0], STEP * turn[1]);
    else if (key === "PageUp" || key === "PageDown") return stepped(key === "PageUp" ? 1 : -1);
    else if (letters[letter]) view.from(letters[letter]);
    else if (key === "+" || key === "=") view.zoom(1.1);
    else if (key === "-" || key === "_") view.zoom(1 / 1.1);
    else if (key === "Home" || key === "0") view.reset();
    else if (letter === "o") setPerspective(!view.camera.perspective);
    else if (letter === "m") measuring.toggle();
    else if (key === "Enter") measuring.choose(view.size().width / 2, view.size().height / 2);
    else if (key === "Escape" && measuring.isOn()) measuring.toggle(false);
    else return false;
    return true;
  }

  canvas.addEventListener("webglcontextlost", (event) => {
    event.preventDefault();
    view.lost = true;
    fail("The graphics card has stopped drawing. If the picture does not come back by itself, load the page again.");
  });
  canvas.addEventListener("webglcontextrestored", () => {
    view.lost = false;
    element("problem").hidden = true;
    artist.prepare();
    view.redraw();
  });
  setPerspective(scene.first.perspective);
  document.body.classList.add("ready");
  element("status").textContent = "";
}

start();
