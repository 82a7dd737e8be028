/** What fingers and the mouse do: one turns, two move, zoom and turn in the plane; a mouse's other buttons move. */
function followPointers(canvas, { turn, move, zoom, choose, centre }) {
  const down = new Map();
  let [travelled, moving] = [0, false];
  const local = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const pair = () => {
    const [a, b] = [...down.values()];
    const [x, y] = [b[0] - a[0], b[1] - a[1]];
    return { middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], apart: Math.hypot(x, y) || 1, angle: Math.atan2(y, x) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (down.size === 0) travelled = 0;
    down.set(event.pointerId, local(event));
    moving = event.button !== 0 || event.shiftKey;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!down.has(event.pointerId)) return;
    const [before, now] = [down.get(event.pointerId), local(event)];
    const [x, y] = [now[0] - before[0], now[1] - before[1]];
    travelled += Math.hypot(x, y);
    const old = down.size === 2 ? pair() : null;
    down.set(event.pointerId, now);
    if (old) {
      const { middle, apart, angle } = pair();
      move(middle[0] - old.middle[0], middle[1] - old.middle[1]);
      zoom(apart / old.apart);
      turn(0, 0, Math.atan2(Math.sin(angle - old.angle), Math.cos(angle - old.angle)));
    } else if (down.size === 1) (moving ? move : turn)(x, y);
  });
  const release = (event) => {
    if (!down.delete(event.pointerId) || down.size > 0) return;
    if (event.type === "pointerup" && travelled < 5 && event.button === 0) choose(...local(event));
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("dblclick", (event) => centre(...local(event)));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 0 ? 1 : 30);
    zoom(Math.exp(-Math.min(Math.max(pixels, -200), 200) / 500));
  }, { passive: false });
}
