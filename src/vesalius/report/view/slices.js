/** The slices of a scan where planes cut: drawn between what is opaque and what is not. */

const SLICE_VERTEX = `#version 300 es
precision highp float;
layout(location = 0) in vec3 a_place;  // mm (LPS) from the start of the surfaces' lattice
uniform vec3 u_start;
uniform mat4 u_project;
uniform vec3 u_low;  // of the scan's box, from the same start
uniform vec3 u_size;
out vec3 v_place;
out vec3 v_share;

void main() {
  v_place = a_place;
  v_share = (a_place - u_low) / u_size;
  gl_Position = u_project * vec4(a_place + u_start, 1.0);
}`;

const SLICE_FRAGMENT = `#version 300 es
precision highp float;
precision highp sampler3D;
in vec3 v_place;
in vec3 v_share;
uniform vec3 u_hidden;  // by the other planes, as for surfaces
uniform vec3 u_cut;
uniform sampler3D u_scan;
out vec4 colour;

void main() {
  if (any(greaterThan(u_hidden * (v_place - u_cut), vec3(0.0)))) discard;
  float shade = texture(u_scan, v_share).r * 255.0;
  if (shade < 0.5) discard;  // there is no scan
  colour = vec4(vec3((shade - 1.0) / 254.0), 1.0);
}`;

/** What draws the slices of a scan; `greys` are those of `readScan`. */
function makeSlices(gl, scene, greys) {
  const { program, at } = linked(gl, SLICE_VERTEX, SLICE_FRAGMENT, ["start", "project", "low", "size", "hidden", "cut", "scan"]);
  const { low, high } = boxOf(scene.scan);
  const texture = gl.createTexture();
  gl.activeTexture(gl.TEXTURE2);
  gl.bindTexture(gl.TEXTURE_3D, texture);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texImage3D(gl.TEXTURE_3D, 0, gl.R8, ...scene.scan.shape, 0, gl.RED, gl.UNSIGNED_BYTE, greys);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, filter, gl.LINEAR);
  for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R])
    gl.texParameteri(gl.TEXTURE_3D, wrap, gl.CLAMP_TO_EDGE);
  const [arrays, corners] = [gl.createVertexArray(), gl.createBuffer()];
  gl.bindVertexArray(arrays);
  gl.bindBuffer(gl.ARRAY_BUFFER, corners);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);

  /** The corners of the slice where an axis is cut, two triangles in a strip. */
  function slice(axis, place) {
    const [first, second] = [0, 1, 2].filter((other) => other !== axis);
    return [[low, low], [high, low], [low, high], [high, high]].flatMap(([a, b]) => {
      const corner = [...low];
      [corner[axis], corner[first], corner[second]] = [place, a[first], b[second]];
      return minus(corner, scene.origin);
    });
  }

  /**
   * Draw the slice of every plane that is on. Where a body is cut through, which the stencil says, its colour lies under
   * it: of all planes, the first that a line of sight meets is the one through which it enters what is not hidden, so that
   * what shines through is what this plane cuts.
   */
  function draw(look, start, project) {
    gl.useProgram(program);
    gl.bindVertexArray(arrays);
    gl.uniform3fv(at.u_start, start);
    gl.uniformMatrix4fv(at.u_project, false, project);
    gl.uniform3fv(at.u_low, minus(low, scene.origin));
    gl.uniform3fv(at.u_size, minus(high, low));
    gl.uniform3fv(at.u_cut, look.clips.map((clip, axis) => clip.at - scene.origin[axis]));
    gl.uniform1i(at.u_scan, 2);
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_3D, texture);
    gl.bindBuffer(gl.ARRAY_BUFFER, corners);
    gl.enable(gl.STENCIL_TEST);
    gl.stencilOp(gl.KEEP, gl.KEEP, gl.KEEP);
    look.clips.forEach(({ on, at: place }, axis) => {
      if (!on || place < low[axis] || place > high[axis]) return;
      gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(slice(axis, place)), gl.DYNAMIC_DRAW);
      gl.uniform3fv(at.u_hidden, look.clips.map((clip, other) => (clip.on && other !== axis ? clip.side : 0)));
      gl.stencilFunc(gl.EQUAL, CUT, 0xff);
      gl.enable(gl.BLEND);
      gl.blendColor(0, 0, 0, 1 - look.slices.tint);
      gl.blendFunc(gl.CONSTANT_ALPHA, gl.ONE_MINUS_CONSTANT_ALPHA);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
      gl.disable(gl.BLEND);
      gl.stencilFunc(gl.NOTEQUAL, CUT, 0xff);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    });
    gl.disable(gl.STENCIL_TEST);
  }

  return { draw };
}

/** The point of a slice that a line of sight meets first, and its grey; `null` where it meets none. */
function pickSlice(scan, greys, look, { start, direction }) {
  if (!greys || !look.slices.shown) return null;
  let best = null;
  look.clips.forEach(({ on, at }, axis) => {
    const far = (at - start[axis]) / direction[axis];
    if (!on || !(far > 0) || (best !== null && far >= best.far)) return;
    const point = along(start, direction, far);
    point[axis] = at;
    const hidden = look.clips.some((clip, other) => other !== axis && clip.on && clip.side * (point[other] - clip.at) > 0);
    const shade = hidden ? 0 : greyAt(scan, greys, point);
    if (shade > 0) best = { far, point, shade };
  });
  return best;
}
