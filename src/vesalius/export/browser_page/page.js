/** The page itself: files in, questions to the engine, answers onto the screen. */

import { showImage } from "./view.js";

const part = (id) => document.getElementById(id);
const base = new URL(".", document.baseURI).href;
let engine = startEngine();
let description = null;
let files = []; // of the image that is open
let view = null;

/** The engine, in a worker that has this page's rules: what a page makes of a blob inherits its policy. */
function startEngine() {
  const code = `import ${JSON.stringify(new URL("engine.js", base).href)};`;
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
  const waiting = new Map();
  let last = 0;
  worker.addEventListener("message", ({ data: { id, result, error, progress } }) => {
    const asked = waiting.get(id);
    if (progress) return asked.onProgress(progress);
    waiting.delete(id);
    if (error === undefined) asked.resolve(result);
    else asked.reject(new Error(error));
  });
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    const error = new Error(`this browser cannot run the page (${event.message ?? "a script did not load"})`);
    for (const asked of waiting.values()) asked.reject(error);
    waiting.clear();
  });
  const ask = (act, request = {}, onProgress = () => {}) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject, onProgress });
      worker.postMessage({ id: last, act, ...request });
    });
  return { ask, stop: () => worker.terminate() };
}

async function begin() {
  say("Getting the segmenter…");
  const found = await attempt("The segmenter could not be started", () => engine.ask("load", { base }));
  if (found === null) return;
  ({ description } = found);
  introduce(found.check);
  part("choose").disabled = false;
  say("Ready.");
}

/** What this segmenter is, and what it finds. */
function introduce(check) {
  const { card, output, windows, input, after } = description;
  const flat = input.axes.length === 4;
  part("title").textContent = card.name || "Segmenter";
  document.title = `${card.name || "Segmenter"} – Vesalius`;
  part("subtitle").textContent = card.description || "Segmentation in this browser";
  const kinds = flat ? "a PNG or JPEG picture" : "a NIfTI volume (.nii or .nii.gz)";
  const several = input.channels.length > 1 && !isColour();
  part("kinds").textContent = several
    ? `Drop ${kinds} here, or a file for each channel (${input.channels.join(", ")}), named so that they sort in this order.`
    : `Drop ${kinds} here, or choose one.`;
  part("check").textContent =
    `Checked in this browser: logits within ${check.difference.toExponential(1)} of the original's, ` +
    `${(100 * check.agreement).toFixed(2)} % of the labels the same.`;
  const scores = Object.entries(card.scores ?? {}).map(([name, dice]) => `${name} ${dice.toFixed(3)}`);
  const rows = [
    ["Finds", after.labels.map((label) => label.name).join(", ")],
    ["Input", input.channels.join(", ")],
    ["Dice", scores.length ? `${scores.join(", ")} (${card.scores_on})` : ""],
    ["Trained on", card.data],
    ["Licence of the data", card.data_licence],
    ["Limits", card.limits],
  ];
  part("card").replaceChildren(...rows.filter(([, text]) => text).map(row));
  part("mirror-choice").hidden = windows.mirror_axes.length === 0;
  part("mirror-cost").textContent = `(${2 ** windows.mirror_axes.length} times the work, as the segmenter was planned)`;
  legend(null);
  if (output.channels.length === 0) throw new Error("the description names no outputs");
}

function row([name, text]) {
  const line = document.createElement("div");
  const term = Object.assign(document.createElement("dt"), { textContent: name });
  const told = Object.assign(document.createElement("dd"), { textContent: text });
  if (name === "Limits") told.className = "limits";
  line.append(term, told);
  return line;
}

const isColour = () => description.input.axes.length === 4 && description.input.channels.length === 3;

/** Labels with their colours, and once there is a result how much there is of each. */
function legend(found) {
  part("legend").replaceChildren(
    ...description.after.labels.map(({ name, value, colour }) => {
      const item = document.createElement("li");
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      box.addEventListener("change", () => view?.setHidden(value, !box.checked));
      const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
      swatch.style.background = `rgb(${colour.join(" ")})`;
      const text = Object.assign(document.createElement("span"), { textContent: name });
      const amount = Object.assign(document.createElement("span"), { className: "amount" });
      amount.textContent = found === null ? "" : amountOf(found.voxels[value], found.voxelSize);
      label.append(box, swatch, text, amount);
      item.append(label);
      return item;
    }),
  );
}

function amountOf(voxels, size) {
  if (size === null) return `${voxels.toLocaleString("en")} pixels`;
  if (description.input.axes.length === 4) return `${(voxels * size).toLocaleString("en")} mm²`;
  return `${((voxels * size) / 1000).toPrecision(4)} ml`;
}

async function open(chosen) {
  if (description === null || chosen.length === 0) return;
  files = [...chosen].sort((a, b) => (a.name < b.name ? -1 : 1));
  busy("Reading…");
  const image = await attempt("The image could not be opened", () => engine.ask("open", { files }));
  if (image === null) return rest();
  part("drop").hidden = true;
  part("planes").hidden = false;
  part("window").hidden = false;
  part("another").hidden = false;
  const colours = new Map(description.after.labels.map(({ value, colour }) => [value, colour]));
  const colourful = isColour() && image.channels.length === 3;
  view = showImage(part("planes"), image, { colours, colourful });
  view.setOpacity(part("opacity").valueAsNumber / 100);
  for (const id of ["level", "contrast"]) part(id).value = 50;
  channels(image, colourful);
  legend(null);
  const size = image.shape.join(" × ");
  const spacing = image.calibrated ? `, ${image.spacing.map((x) => Number(x.toFixed(3))).join(" × ")} mm` : "";
  notes([`${files.map((file) => file.name).join(", ")}: ${size}${spacing}`, ...image.notes]);
  rest();
  part("segment").disabled = false;
  part("segment").focus();
  say("Ready to segment.");
}

function channels(image, colourful) {
  const names = description.input.channels;
  part("channel-choice").hidden = colourful || names.length === 1;
  const options = names.map((name, n) => Object.assign(document.createElement("option"), { value: n, textContent: name }));
  part("channel").replaceChildren(...options);
}

function notes(lines) {
  part("notes").replaceChildren(
    ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
  );
}

async function segment() {
  busy("Segmenting…");
  part("stop").hidden = false;
  part("stop").focus();
  const start = performance.now();
  const mirror = part("mirror").checked;
  const found = await attempt("The image could not be segmented", () =>
    engine.ask("segment", { mirror }, ({ done, all }) => {
      part("progress").max = all;
      part("progress").value = done;
    }),
  );
  rest();
  part("segment").disabled = false;
  if (found === null) return;
  view.setLabels(found.labels);
  legend(found);
  part("save").disabled = false;
  part("save").focus();
  const seconds = (performance.now() - start) / 1000;
  say(`Done in ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s.`);
}

/** Throw the engine away with its work, and start another with the same image. */
async function stop() {
  engine.stop();
  engine = startEngine();
  rest();
  say("Stopping…");
  const again = await attempt("The segmenter could not be started again", async () => {
    await engine.ask("load", { base });
    return engine.ask("open", { files });
  });
  if (again === null) return;
  part("segment").disabled = false;
  say("Stopped. Ready to segment.");
}

async function save() {
  const found = await attempt("The label map could not be saved", () => engine.ask("save"));
  if (found === null) return;
  const stem = files[0].name.replace(/(\.nii)?\.[^.]+$/i, "");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([found.bytes]));
  link.download = `${stem}_labels${found.ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(`Saved as ${link.download}.`);
}

/** Do something; say what failed and return null if it did. */
async function attempt(what, work) {
  part("error").hidden = true;
  try {
    return await work();
  } catch (error) {
    part("error").textContent = `${what}: ${error.message}`;
    part("error").hidden = false;
    say("");
    return null;
  }
}

function say(text) {
  part("status").textContent = text;
}

function busy(text) {
  say(text);
  for (const id of ["segment", "save", "another", "choose"]) part(id).disabled = true;
  part("progress").hidden = false;
  part("progress").removeAttribute("value");
}

function rest() {
  for (const id of ["another", "choose"]) part(id).disabled = false;
  part("progress").hidden = true;
  part("stop").hidden = true;
}

for (const id of ["choose", "another"]) part(id).addEventListener("click", () => part("file").click());
part("file").addEventListener("change", ({ target }) => {
  open(target.files);
});
part("segment").addEventListener("click", segment);
part("stop").addEventListener("click", () => stop());
part("save").addEventListener("click", save);
part("opacity").addEventListener("input", ({ target }) => view?.setOpacity(target.valueAsNumber / 100));
part("channel").addEventListener("change", ({ target }) => view?.setChannel(Number(target.value)));
for (const id of ["level", "contrast"])
  part(id).addEventListener("input", () =>
    view?.setWindow(part("level").valueAsNumber / 100, part("contrast").valueAsNumber / 100),
  );
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "o" && !event.ctrlKey && !event.metaKey && !event.altKey) view?.toggle();
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && !part("choose").disabled) open(event.dataTransfer.files);
  });

await begin();
