/** What is seen: the camera, what is shown and hidden, and when it is drawn. */

const REST = 200; // ms after which nothing moves any more
const SLOW = 50; // ms a picture: where it takes longer, simpler surfaces are drawn while something moves

/**
 * The view of a scene. `see(camera)` changes from where one looks, `redraw()` is for all other changes; `overlay()` tells
 * what is to be written over the picture, `drawn()` is called after each.
 */
function makeView(scene, surfaces, greys, extent, artist, { canvas, svg, overlay, drawn }) {
  const look = {
    structures: scene.structures.map(({ opacity }) => ({ visible: true, opacity })),
    clips: PLANES.map(({ side }, axis) => ({ on: false, side, at: extent.centre[axis] })),
    slices: { shown: true, tint: 0.35 },
    background: [0, 0, 0],
  };
  if (scene.scan) {
    // The first look is at a slice: that of the plane that looks most at the viewer, who sees what is cut there.
    const { axis, sense } = facingAxis(scene.first.axes);
    Object.assign(look.clips[axis], { on: true, side: sense });
  }
  const size = () => ({ width: canvas.clientWidth, height: canvas.clientHeight });
  const fitted = (perspective) => {
    const camera = fittedCamera(scene.first.axes, extent, size().width / size().height, perspective);
    return { ...camera, half: camera.half / scene.first.zoom };
  };
  const view = { look, camera: fitted(scene.first.perspective), lost: false };
  let [waiting, moving, timer, pictures, slow] = [false, false, 0, 0, false];

  function draw() {
    waiting = false;
    const { width, height } = size();
    if (view.lost || width === 0 || height === 0) return;
    const simple = moving && slow;
    // Twice as fine where the graphics card smooths no edges.
    const finer = simple ? 1 : artist.smooth ? Math.min(devicePixelRatio, 2) : 2;
    const [columns, rows] = [Math.round(width * finer), Math.round(height * finer)];
    if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
    const style = getComputedStyle(document.documentElement);
    const [ink, paper] = ["--text", "--stage"].map((name) => style.getPropertyValue(name).trim());
    look.background = [1, 3, 5].map((k) => parseInt(paper.slice(k, k + 2), 16));
    const begun = performance.now();
    artist.draw(view.camera, look, simple);
    // The first picture prepares much; the second tells how fast it goes.
    if (++pictures <= 2) slow = artist.finished() - begun > SLOW;
    if (pictures === 1) redraw();
    drawOverlay(svg, scene, view.camera, look, { width, height }, { ink, paper, ...overlay() });
    canvas.setAttribute("aria-busy", String(moving || pictures < 2));
    drawn(view.camera);
  }
  function redraw() {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }
  function move() {
    moving = true;
    canvas.setAttribute("aria-busy", "true");
    clearTimeout(timer);
    timer = setTimeout(() => {
      moving = false;
      redraw();
    }, REST);
    redraw();
  }
  function see(camera) {
    view.camera = camera;
    move();
  }
  function pickAt(x, y) {
    const reach = extent.reach + Math.hypot(...minus(view.camera.target, extent.centre));
    return pick(scene, surfaces, greys, look, sightThrough(view.camera, x, y, size(), reach));
  }
  let shape = size();
  new ResizeObserver(() => {
    // What was seen stays in sight when a phone is turned.
    const now = size();
    if (now.width === 0 || now.height === 0) return;
    const [before, after] = [shape, now].map(({ width, height }) => Math.min(1, width / height));
    shape = now;
    see({ ...view.camera, half: (view.camera.half * before) / after });
  }).observe(canvas);

  return Object.assign(view, {
    see,
    move,
    redraw,
    size,
    pickAt,
    from: (name) => see({ ...view.camera, axes: scene.views[name] }),
    reset: () => see(fitted(view.camera.perspective)),
    turn: (x, y, around) => see(turnedCamera(view.camera, x, y, around)),
    shift: (x, y) => see(movedCamera(view.camera, x, y, size().height)),
    zoom(factor) {
      const half = Math.min(Math.max(view.camera.half / factor, extent.radius / 500), extent.radius * 20);
      see({ ...view.camera, half });
    },
    drawNow: () => artist.draw(view.camera, look, false),
  });
}
