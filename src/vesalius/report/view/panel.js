/** The panel beside the picture: structures, cuts, lengths. Names come from files: they are text and never markup. */

const PLANES = [
  { name: "Sagittal", sides: { 1: "left of it", "-1": "right of it" }, side: 1 },
  { name: "Coronal", sides: { "-1": "in front of it", 1: "behind it" }, side: -1 },
  { name: "Axial", sides: { 1: "above it", "-1": "below it" }, side: 1 },
];

/** An element with properties, attributes (those with a dash), and children. */
function made(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties))
    if (key.includes("-")) element.setAttribute(key, value);
    else element[key] = value;
  element.append(...children);
  return element;
}

/** A name whose letters may run from right to left, kept from turning what stands beside it. */
const named = (text) => made("bdi", { textContent: text });

const inMl = (volume) => (volume === null ? "open" : `${Number(volume.toPrecision(4)).toLocaleString("en-GB", { maximumFractionDigits: 4 })} ml`);

/** The list of structures; `look` is changed and `changed` called. Returns what makes the list show `look` again. */
function makeStructures(list, buttons, scene, look, changed) {
  let alone = -1;
  const seen = scene.structures.map((structure, k) => {
    const state = look.structures[k];
    const id = `structure-${k}`;
    const eye = made("input", { type: "checkbox", id, "aria-label": `Show ${structure.name}` });
    eye.addEventListener("change", () => update(() => ((state.visible = eye.checked), (alone = -1))));
    const swatch = made("span", { className: "swatch", "aria-hidden": "true" });
    swatch.style.background = `rgb(${structure.colour})`;
    const label = made("label", { htmlFor: id }, swatch, named(structure.name));
    const volume = made("span", { className: "volume", textContent: inMl(structure.volume) });
    if (structure.volume === null) volume.title = "The surface is not closed, or inside out: it has no volume.";
    const slider = made("input", { type: "range", min: 0, max: 100, "aria-label": `Opacity of ${structure.name}` });
    slider.addEventListener("input", () => update(() => (state.opacity = slider.valueAsNumber / 100)));
    const only = made("button", { type: "button", textContent: "only", "aria-label": `Only ${structure.name}` });
    only.addEventListener("click", () =>
      update(() => {
        alone = alone === k ? -1 : k;
        look.structures.forEach((one, other) => (one.visible = alone < 0 || other === k));
      }),
    );
    list.append(made("li", {}, eye, label, volume, slider, only));
    return { eye, slider, only };
  });

  function show() {
    seen.forEach(({ eye, slider, only }, k) => {
      const { visible, opacity } = look.structures[k];
      eye.checked = visible;
      slider.value = Math.round(100 * opacity);
      slider.setAttribute("aria-valuetext", `${slider.value} %`);
      only.setAttribute("aria-pressed", String(alone === k));
    });
  }
  function update(change) {
    change();
    show();
    changed();
  }
  const all = (visible) => () => update(() => ((alone = -1), look.structures.forEach((one) => (one.visible = visible))));
  buttons[0].addEventListener("click", all(true));
  buttons[1].addEventListener("click", all(false));
  show();
  return { ...filtered(list, scene), show };
}

/** A field that finds structures by their names, where there are many. */
function filtered(list, scene) {
  if (scene.structures.length <= 12) return {};
  const field = made("input", { type: "search", placeholder: "Find a structure", "aria-label": "Find a structure" });
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    scene.structures.forEach(({ name }, k) => (list.children[k].hidden = !name.toLowerCase().includes(wanted)));
  });
  list.before(field);
  return { field };
}

/**
 * A plane for each axis, which hides what lies on one side of it, or nothing where it shows a slice. Returns
 * `step(axis, mm)`, which moves a plane that is on.
 */
function makePlanes(place, scene, extent, look, changed) {
  const planes = PLANES.map(({ name, sides }, axis) => {
    const clip = look.clips[axis];
    const on = made("input", { type: "checkbox", checked: clip.on });
    const range = { min: extent.low[axis].toFixed(1), max: extent.high[axis].toFixed(1), step: 0.1 };
    const slider = made("input", { type: "range", ...range, value: clip.at, "aria-label": `${name} plane` });
    const where = made("output");
    const choice = made("select", { "aria-label": `What the ${name.toLowerCase()} plane hides` });
    const sidesHidden = scene.scan ? { ...sides, 0: "nothing" } : sides;
    for (const [side, text] of Object.entries(sidesHidden)) choice.append(made("option", { value: side, textContent: text }));
    choice.value = String(clip.side);
    const show = () => {
      const letter = LETTERS[axis][clip.at < 0 ? 1 : 0];
      where.textContent = `${letter} ${Math.abs(clip.at).toFixed(1)} mm`;
      slider.setAttribute("aria-valuetext", where.textContent);
      slider.disabled = choice.disabled = !clip.on;
    };
    const update = () => {
      Object.assign(clip, { on: on.checked, at: slider.valueAsNumber, side: Number(choice.value) });
      show();
      changed();
    };
    for (const control of [on, slider, choice]) control.addEventListener("input", update);
    show();
    place.append(
      made(
        "div",
        { className: "plane" },
        made("label", {}, on, ` ${name}`),
        where,
        slider,
        made("label", {}, scene.scan ? "hides " : "hide what is ", choice),
      ),
    );
    return (mm) => {
      if (!on.checked) return false;
      slider.value = clip.at + mm;
      update();
      return true;
    };
  });
  return { step: (axis, mm) => planes[axis](mm) };
}

/** What is said of the slices of a scan, where there is one: whether they are shown, and how strongly what is cut tints them. */
function makeSliceControls(place, look, changed) {
  if (place === null) return;
  const shown = made("input", { type: "checkbox", checked: look.slices.shown });
  const tint = made("input", { type: "range", min: 0, max: 100, value: 100 * look.slices.tint, "aria-label": "Tint of what is cut" });
  for (const control of [shown, tint])
    control.addEventListener("input", () => {
      Object.assign(look.slices, { shown: shown.checked, tint: tint.valueAsNumber / 100 });
      tint.disabled = !shown.checked;
      tint.setAttribute("aria-valuetext", `${tint.value} %`);
      changed();
    });
  place.append(made("label", {}, shown, " Slices of the scan"), made("label", {}, "tint of what is cut ", tint));
}

/** The lengths that were measured, each with a button that removes it. */
function showLengths(list, scene, lengths, remove) {
  list.replaceChildren(
    ...lengths.map((length, k) => {
      const names = [...new Set(length.structures)].map((structure) => named(scene.structures[structure]?.name ?? "the scan"));
      const button = made("button", { type: "button", textContent: "×", "aria-label": `Remove length ${k + 1}` });
      button.addEventListener("click", () => remove(k));
      const between = names.length === 2 ? [names[0], " to ", names[1]] : names;
      return made("li", {}, made("b", { textContent: `${length.mm.toFixed(1)} mm` }), made("span", {}, ...between), button);
    }),
  );
}
