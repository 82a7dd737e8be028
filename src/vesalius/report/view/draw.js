/**
 * Drawing with WebGL 2: what is opaque first, by depth; then what is not, its triangles from the farthest to the nearest.
 */

const OPAQUE = 0.995;
const SIMPLE = 80_000; // triangles
const CUT = 1; // in the stencil, where the inside of a body is seen

/**
 * What draws a scene's surfaces onto a canvas: `draw(camera, look, simple)`; `null` where there is no WebGL 2. `greys` are
 * those of its scan, if it has one.
 */
function makeArtist(canvas, scene, surfaces, greys, extent) {
  const smooth = !drawsWithoutCard();
  const how = { alpha: false, antialias: smooth, stencil: true, powerPreference: "high-performance" };
  const gl = canvas.getContext("webgl2", how);
  if (gl === null) return null;
  let simplified = null;
  let card = null; // what lies on the graphics card
  let sorted = { key: "", count: 0 };

  function prepare() {
    card = putOnCard(gl, scene, surfaces);
    card.slices = greys && makeSlices(gl, scene, greys);
    sorted = { key: "", count: 0 };
  }

  /**
   * `look` is `{structures: [{visible, opacity}], clips: [{on, at, side}], slices: {shown, tint}, background: [r, g, b]}`;
   * `simple` leaves out what is small, to be fast.
   */
  function draw(camera, look, simple) {
    if (simple && card.simple === null) {
      simplified ??= simpler(surfaces, SIMPLE);
      card.simple = filled(gl, simplified.corners);
    }
    const drawn = simple ? { ...surfaces, ...simplified } : surfaces;
    const aspect = canvas.width / canvas.height;
    const reach = 1.01 * (extent.reach + Math.hypot(...minus(camera.target, extent.centre)));
    const [start, project] = [minus(scene.origin, camera.target), projectionOf(camera, aspect, reach)];
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(...look.background.map((part) => part / 255), 1);
    gl.depthMask(true);
    gl.disable(gl.BLEND);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    gl.useProgram(card.program);
    gl.bindVertexArray(card.arrays);
    gl.uniform1f(card.at.u_step, scene.step);
    gl.uniform3fv(card.at.u_start, start);
    gl.uniformMatrix4fv(card.at.u_project, false, project);
    gl.uniformMatrix3fv(card.at.u_turn, true, camera.axes);
    gl.uniform3fv(card.at.u_hidden, look.clips.map((clip) => (clip.on ? clip.side : 0)));
    gl.uniform3fv(card.at.u_cut, look.clips.map((clip, axis) => clip.at - scene.origin[axis]));
    gl.uniform3fv(card.at.u_nothing, scene.nothing.map((part) => part / 255));
    gl.uniform1i(card.at.u_structures, 0);
    gl.uniform1i(card.at.u_scales, 1);
    gl.uniform1i(card.at.u_clear, 0);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, card.structures);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, scene.structures.length, 2, 0, gl.RGBA, gl.FLOAT, tableOf(scene, look));
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, card.scales);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, simple ? card.simple : card.corners);
    drawOpaque(look, drawn.parts);
    if (card.slices && look.slices.shown) {
      card.slices.draw(look, start, project);
      gl.useProgram(card.program);
      gl.bindVertexArray(card.arrays);
    }
    drawClear(camera, look, drawn, simple);
  }

  /** The time when what was asked for has been drawn. */
  function finished() {
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    return performance.now();
  }

  function drawOpaque(look, parts) {
    const cut = look.clips.some((clip) => clip.on && clip.side !== 0);
    gl.enable(gl.STENCIL_TEST);
    gl.stencilOp(gl.KEEP, gl.KEEP, gl.REPLACE);
    gl.stencilFunc(gl.ALWAYS, 0, 0xff);
    parts.forEach(({ start, count }, k) => {
      const { visible, opacity } = look.structures[k];
      if (!visible || opacity < OPAQUE) return;
      const pass = () => gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 4 * start);
      if (!scene.structures[k].closed) return pass();
      gl.enable(gl.CULL_FACE);
      gl.cullFace(gl.BACK);
      pass();
      if (cut) {
        // Where bodies touch, the inside of the one that is cut goes before the outside of its neighbour.
        gl.cullFace(gl.FRONT);
        gl.enable(gl.POLYGON_OFFSET_FILL);
        gl.polygonOffset(-1, -2);
        gl.stencilFunc(gl.ALWAYS, CUT, 0xff);
        pass();
        gl.stencilFunc(gl.ALWAYS, 0, 0xff);
        gl.disable(gl.POLYGON_OFFSET_FILL);
      }
      gl.disable(gl.CULL_FACE);
    });
    gl.disable(gl.STENCIL_TEST);
  }

  function drawClear(camera, look, drawn, simple) {
    const clear = drawn.parts.filter((_, k) => isClear(look.structures[k]));
    if (clear.length === 0) return;
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, card.sorted);
    const eye = camera.perspective && [camera.target, camera.half];
    const key = JSON.stringify([simple, camera.axes, eye, clear.map(({ start, count }) => [start, count])]);
    if (key !== sorted.key) {
      const corners = fromFarToNear(scene, drawn, clear, camera);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.DYNAMIC_DRAW);
      sorted = { key, count: corners.length };
    }
    gl.uniform1i(card.at.u_clear, 1);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthMask(false);
    // What is clear lies behind what is opaque where they touch.
    gl.enable(gl.POLYGON_OFFSET_FILL);
    gl.polygonOffset(1, 2);
    gl.drawElements(gl.TRIANGLES, sorted.count, gl.UNSIGNED_INT, 0);
    gl.disable(gl.POLYGON_OFFSET_FILL);
    gl.depthMask(true);
  }

  prepare();
  return { draw, prepare, finished, smooth };
}

const isClear = ({ visible, opacity }) => visible && opacity > 0 && opacity < OPAQUE;

/** Colours and opacities, and how values are shown, as the graphics card reads them. */
function tableOf(scene, look) {
  const count = scene.structures.length;
  const table = new Float32Array(8 * count);
  scene.structures.forEach(({ colour, closed, scale, low, high }, k) => {
    const opacity = look.structures[k].opacity;
    table.set([...colour.map((part) => part / 255), opacity >= OPAQUE ? 1 : opacity], 4 * k);
    const bar = scene.scales[scale];
    const step = (high - low) / 65534; // of the number 1 to 65,535 that stands for a value
    const shown = !bar ? [-1, 0, 0] : step > 0 ? [scale, 1 + (bar.low - low) / step, step / (bar.high - bar.low)]
      : [scale, 1 - (low - bar.low) / (bar.high - bar.low), 1]; // all alike
    table.set([...shown, closed ? 1 : 0], 4 * (count + k));
  });
  return table;
}

/** A program for the graphics card, and where its uniforms are. */
function linked(gl, vertex, fragment, names) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
    throw new Error(gl.getProgramInfoLog(program) || "the graphics driver refused the shaders");
  return { program, at: Object.fromEntries(names.map((name) => [`u_${name}`, gl.getUniformLocation(program, `u_${name}`)])) };
}

function putOnCard(gl, scene, surfaces) {
  const names = ["step", "start", "project", "turn", "structures", "hidden", "cut", "clear", "scales", "nothing"];
  const { program, at } = linked(gl, VERTEX, FRAGMENT, names);
  const arrays = gl.createVertexArray();
  gl.bindVertexArray(arrays);
  const attribute = (location, data, size, kind, normalised) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(location);
    gl.vertexAttribPointer(location, size, kind, normalised, 0, 0);
  };
  attribute(0, surfaces.places, 4, gl.UNSIGNED_SHORT, false);
  attribute(1, surfaces.normals, 4, gl.BYTE, true);
  if (surfaces.values) attribute(2, surfaces.values, 1, gl.UNSIGNED_SHORT, false);
  const [corners, sorted] = [filled(gl, surfaces.corners), gl.createBuffer()];
  const texture = () => {
    const made = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, made);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    return made;
  };
  const [structures, scales] = [texture(), texture()];
  const rowsOfScales = Math.max(scene.scales.length, 1);
  const pixels = new Uint8Array(1024 * rowsOfScales);
  scene.scales.forEach((bar, row) => bar.colours.forEach((colour, k) => pixels.set([...colour, 255], 1024 * row + 4 * k)));
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, rowsOfScales, 0, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  return { program, at, arrays, corners, sorted, simple: null, structures, scales };
}

function filled(gl, corners) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
  return buffer;
}

/** Whether the processor draws in place of a graphics card: smooth edges then take three times as long. */
function drawsWithoutCard() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const name = gl?.getExtension("WEBGL_debug_renderer_info")?.UNMASKED_RENDERER_WEBGL;
  const artist = gl ? String(gl.getParameter(name ?? gl.RENDERER)) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(artist);
}

/** The corners of structures' triangles, sorted by the distance of the middles from the viewer. */
function fromFarToNear(scene, { places, corners }, parts, camera) {
  const [x, y, z] = camera.axes.slice(6);
  const eye = along(camera.target, [x, y, z], distanceOf(camera));
  const start = minus(scene.origin, eye);
  const count = parts.reduce((sum, part) => sum + part.count / 3, 0);
  const [depths, first] = [new Float32Array(count), new Uint32Array(count)];
  let [n, low, high] = [0, Infinity, -Infinity];
  const third = scene.step / 3;
  for (const part of parts)
    for (let k = part.start; k < part.start + part.count; k += 3, n++) {
      const [a, b, c] = [4 * corners[k], 4 * corners[k + 1], 4 * corners[k + 2]];
      const px = places[a] + places[b] + places[c];
      const py = places[a + 1] + places[b + 1] + places[c + 1];
      const pz = places[a + 2] + places[b + 2] + places[c + 2];
      if (camera.perspective) depths[n] = -Math.hypot(px * third + start[0], py * third + start[1], pz * third + start[2]);
      else depths[n] = x * px + y * py + z * pz;
      first[n] = k;
      low = Math.min(low, depths[n]);
      high = Math.max(high, depths[n]);
    }
  // Counted into 65,536 shelves: a pass to count, a pass to put away.
  const shelves = new Uint32Array(65537);
  const shelf = new Uint16Array(count);
  const scale = high > low ? 65535 / (high - low) : 0;
  for (let k = 0; k < count; k++) {
    shelf[k] = (depths[k] - low) * scale;
    shelves[shelf[k] + 1]++;
  }
  for (let k = 0; k < 65536; k++) shelves[k + 1] += shelves[k];
  const made = new Uint32Array(3 * count);
  for (let k = 0; k < count; k++) {
    const to = 3 * shelves[shelf[k]]++;
    for (let corner = 0; corner < 3; corner++) made[to + corner] = corners[first[k] + corner];
  }
  return made;
}
