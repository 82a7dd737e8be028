/** The network in ONNX Runtime Web, and the check that it computes here what it computed where it was exported. */

import * as ort from "./runtime/ort.wasm.min.mjs";

/** Load the network. Returns `run`: a window (float32) to its logits. */
export async function loadNetwork(description, bytes) {
  ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const { name, shape } = description.input;
  return async (window) => {
    const input = new ort.Tensor("float32", window, shape);
    const found = (await session.run({ [name]: input }))[description.output.name];
    const logits = await found.getData();
    input.dispose();
    return logits;
  };
}

/**
 * Run the window of `check.bin` and compare with the logits that the bundle gave, which stand behind it.
 * Returns `{difference, agreement}` and throws where they are beyond what `check.json` allows.
 */
export async function checkNetwork(run, description, allowed, bytes) {
  const all = new Float32Array(bytes);
  const size = description.input.shape.reduce((product, n) => product * n, 1);
  const [window, expected] = [all.slice(0, size), all.subarray(size)];
  const found = await run(window);
  if (found.length !== expected.length) throw new Error("the network gives logits of another shape than it should");
  const outputs = description.output.channels.length;
  const voxels = expected.length / outputs;
  const regions = description.output.activation === "sigmoid";
  let [difference, largest, same] = [0, 1, 0];
  for (let n = 0; n < expected.length; n++) {
    const away = Math.abs(found[n] - expected[n]);
    difference = away <= difference ? difference : away; // what is not a number counts as a difference
    largest = Math.max(largest, Math.abs(expected[n]));
  }
  for (let voxel = 0; voxel < voxels; voxel++)
    same += winner(found, voxel, voxels, outputs, regions) === winner(expected, voxel, voxels, outputs, regions);
  const agreement = same / voxels;
  if (!(difference <= allowed.difference * largest && agreement >= allowed.agreement))
    throw new Error(
      `this browser computes something else than the segmenter should: logits differ by up to ${difference.toPrecision(2)} ` +
        `and ${(100 * agreement).toFixed(2)} % of the labels agree. Try another browser; do not use this one`,
    );
  return { difference, agreement };
}

/** The winning output at a voxel; with regions a number that says which are on. */
function winner(logits, voxel, voxels, outputs, regions) {
  let best = 0;
  for (let output = 0; output < outputs; output++) {
    const value = logits[output * voxels + voxel];
    if (regions) best = 2 * best + (value > 0);
    else if (value > logits[best * voxels + voxel]) best = output;
  }
  return best;
}
