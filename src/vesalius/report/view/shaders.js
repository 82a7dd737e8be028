/** What runs on the graphics card. */

const VERTEX = `#version 300 es
precision highp float;
layout(location = 0) in vec4 a_place;  // steps of the lattice, number of the structure
layout(location = 1) in vec3 a_normal;
layout(location = 2) in float a_value;  // 1 to 65,535, 0: none
uniform float u_step;
uniform vec3 u_start;  // of the lattice, mm from the middle of the picture
uniform mat4 u_project;
uniform mat3 u_turn;
uniform highp sampler2D u_structures;  // a row of colours and opacities, a row that says how values are shown
invariant gl_Position;  // where structures touch, their surfaces lie at one depth
out vec3 v_place;
out vec3 v_normal;
out float v_value;
out float v_known;
flat out vec4 v_colour;
flat out vec4 v_scale;

void main() {
  v_place = a_place.xyz * u_step;
  gl_Position = u_project * vec4(v_place + u_start, 1.0);
  v_normal = u_turn * a_normal;
  v_value = a_value;
  v_known = a_value > 0.0 ? 1.0 : 0.0;
  v_colour = texelFetch(u_structures, ivec2(int(a_place.w), 0), 0);
  v_scale = texelFetch(u_structures, ivec2(int(a_place.w), 1), 0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec3 v_place;
in vec3 v_normal;
in float v_value;
in float v_known;
flat in vec4 v_colour;
flat in vec4 v_scale;  // row of the colours or -1, value of the first colour, steps of the value a colour, closed
uniform vec3 u_hidden;  // 1: what is beyond is hidden, -1: what is before, 0: nothing
uniform bool u_clear;
uniform vec3 u_cut;  // where, mm from the start of the lattice
uniform sampler2D u_scales;
uniform vec3 u_nothing;
out vec4 colour;

void main() {
  if (any(greaterThan(u_hidden * (v_place - u_cut), vec3(0.0)))) discard;
  vec3 paint = v_colour.rgb;
  bool valued = v_scale.x >= 0.0;
  if (valued) {
    float share = clamp((v_value - v_scale.y) * v_scale.z, 0.0, 1.0);
    paint = v_known < 0.999 ? u_nothing : texelFetch(u_scales, ivec2(int(share * 255.0 + 0.5), int(v_scale.x)), 0).rgb;
  }
  vec3 normal = normalize(v_normal);
  bool inside = !gl_FrontFacing;
  bool cut = any(notEqual(u_hidden, vec3(0.0)));
  if (u_clear && inside && v_scale.w > 0.5 && !cut) discard;  // of what is clear, the wall towards the viewer is seen
  if (!u_clear && inside && v_scale.w > 0.5 && cut) {
    paint = mix(v_colour.rgb, vec3(1.0), 0.12);  // the first of a body that is seen is its inside: here it is cut through
  } else {
    normal = inside ? -normal : normal;
    float light = max(normal.z, 0.0);  // a lamp beside the viewer's eye: what looks at the viewer has its own colour
    paint *= valued ? 0.6 + 0.4 * light : 0.3 + 0.7 * light;
    float shine = pow(max(dot(normal, normalize(vec3(-0.4, 0.6, 1.7))), 0.0), 48.0);
    paint += valued ? 0.0 : 0.12 * shine;
  }
  colour = vec4(paint * v_colour.a, v_colour.a);
}`;
