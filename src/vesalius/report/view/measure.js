/** Choosing points: what lies there, and how far two of them are apart. */

/** `choose(x, y)` names what lies under a pixel; while measuring, every second one makes a length. */
function makeMeasuring(scene, { button, list, canvas, status, pickAt, redraw }) {
  const state = { on: false, lengths: [], chosen: [] };
  const say = (text) => (status.textContent = text);

  function choose(x, y) {
    const hit = pickAt(x, y);
    if (hit === null) return say(state.on ? "There is nothing here." : "");
    const { name, scale } = scene.structures[hit.structure] ?? { name: "The scan" };
    const value = hit.value === null ? "" : `; ${scene.scales[scale].title}: ${told(hit.value)}`;
    const grey = hit.shade ? `; the scan: ${valueInWords(scene.scan, hit.shade)}` : "";
    say(`${name}: ${inWords(hit.point)}${value}${grey}`);
    if (!state.on) return;
    state.chosen.push(hit);
    if (state.chosen.length === 2) {
      const [a, b] = state.chosen.splice(0);
      const mm = Math.hypot(...minus(b.point, a.point));
      state.lengths.push({ from: a.point, to: b.point, mm, structures: [a.structure, b.structure] });
      show();
      say(`${mm.toFixed(1)} mm`);
    }
    redraw();
  }
  function show() {
    showLengths(list, scene, state.lengths, (k) => {
      state.lengths.splice(k, 1);
      show();
      redraw();
    });
  }
  function toggle(on = !state.on) {
    state.on = on;
    state.chosen = [];
    button.setAttribute("aria-pressed", String(on));
    canvas.classList.toggle("aiming", on);
    say(on ? "Choose two points on what you see; with the keys, Enter takes the middle of the picture." : "");
    redraw();
  }
  button.addEventListener("click", () => toggle());
  const overlay = () => ({
    lengths: state.lengths,
    marks: state.chosen.map(({ point }) => point),
    aim: state.on && document.activeElement === canvas,
  });
  return { choose, toggle, overlay, isOn: () => state.on };
}
