"""The page: what it needs of the surfaces, its scripts and its style, in one file."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, get_args

import numpy as np

from vesalius.errors import DataError, GeometryError, unknown_name
from vesalius.image import Volume
from vesalius.io.atomic import write_text
from vesalius.mesh import Surface
from vesalius.mesh.colours import NOTHING, ColourScale
from vesalius.mesh.files.content import colour_of
from vesalius.mesh.painted import Painted, surface_of
from vesalius.mesh.rendering.bodies import is_closed
from vesalius.mesh.rendering.camera import Camera, View
from vesalius.report.view.packing import pack
from vesalius.report.view.scan import PackedScan, pack_scan

LARGEST_TRIANGLES = 2_000_000
"""More are refused: the page would be larger than 10 MB, and phones would not turn it."""

MOST_STRUCTURES = 1000
"""More are refused: nobody finds one of them in a list."""

_COLOURS = 256
_SCRIPTS = (
    "surfaces.js",
    "scan.js",
    "camera.js",
    "shaders.js",
    "draw.js",
    "slices.js",
    "pick.js",
    "overlay.js",
    "panel.js",
    "measure.js",
    "pointers.js",
    "view.js",
    "save.js",
    "page.js",
)


def view_html(
    surfaces: Sequence[Surface | Painted],
    path: str | os.PathLike[str],
    *,
    title: str = "3D view",
    opacity: Mapping[str, float] | None = None,
    camera: Camera | None = None,
    scan: Volume | None = None,
    window: tuple[float, float] | None = None,
) -> None:
    """Write a page that shows surfaces in three dimensions: one file that any browser opens from disk.

    It holds the surfaces, their names and colours, the greys of a scan where one is given, and nothing else of where
    they come from. It asks for nothing from anywhere. Equal surfaces make equal bytes.

    Args:
        surfaces: Of structures, with values at their vertices or without. Empty ones are left out.
        path: The HTML file to write.
        title: Heading of the page. Give it no patient's name: pages get passed on.
        opacity: By the structure's name, 0 to 1: what the sliders show at first.
        camera: From where one looks at first, and after Reset; from the front when left out.
        scan: 3D, of one channel: the planes that cut the surfaces show its slices. Whoever has the page has the scan,
            and in that of a head a face.
        window: Its values that are black and white; see `vesalius.report.display.shown_window` when left out.

    Raises:
        DataError: There is nothing to show, too much of it, an opacity is not between 0 and 1 or of a structure that
            is not there, or the scan has several channels or no millimetres.
        GeometryError: The scan is not 3D, or no surface reaches into it.
        VesaliusError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from vesalius.image import Label
        >>> corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9.0]])
        >>> one = Surface(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]), Label("<i>", 1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     view_html([one], folder + "/view.html")
        ...     page = (Path(folder) / "view.html").read_text(encoding="utf-8")
        >>> "<i>" in page, len(page) < 100_000
        (False, True)
    """
    shown = [one for one in surfaces if not one.is_empty]
    _refuse(shown, {one.label.name for one in surfaces}, opacity or {})
    packed_scan = None if scan is None else pack_scan(scan, window=window)
    if packed_scan is not None:
        _refuse_elsewhere(shown, packed_scan)
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    package = resources.files("vesalius.report.view")
    script = _script()
    style = package.joinpath("page.css").read_text(encoding="utf-8").strip()
    packed, scales, first = pack(shown), _scales(shown), camera or Camera()
    scene: dict[str, Any] = {
        "origin": packed.origin_mm,
        "step": packed.step_mm,
        "first": {"axes": first.axes.ravel().tolist(), "perspective": first.perspective, "zoom": first.zoom},
        "views": {name: Camera.of(name).axes.ravel().tolist() for name in get_args(View)},
        "nothing": NOTHING,
        "scan": None if packed_scan is None else packed_scan.told(),
        "scales": list(scales.values()),
        "structures": [
            {**_structure(one, (opacity or {}).get(one.label.name, 1.0)), **part, **_bar(one, scales)}
            for one, part in zip(shown, packed.parts, strict=True)
        ],
    }
    page = environment.from_string(package.joinpath("page.html.j2").read_text(encoding="utf-8"))
    text = page.render(
        title=title,
        error_mm=f"{_upwards(packed.error_mm):g}",
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        scene=scene,
        data=base64.b64encode(packed.data).decode("ascii"),
        scan_note=None if packed_scan is None else _scan_note(packed_scan),
        scan="" if packed_scan is None else base64.b64encode(packed_scan.data).decode("ascii"),
    )
    write_text(path, text + "\n")


def _refuse(shown: Sequence[Surface | Painted], names: set[str], opacity: Mapping[str, float]) -> None:
    if not shown:
        raise DataError("there is no surface to show: every structure is empty")
    for name, share in opacity.items():
        if name not in names:
            raise DataError(unknown_name("structure", name, names))
        if not 0 <= share <= 1:
            raise DataError(f"the opacity of {name} must be between 0 and 1, not {share:g}")
    if len(shown) > MOST_STRUCTURES:
        raise DataError(f"a page shows at most {MOST_STRUCTURES} structures, not {len(shown)}: choose some of them")
    triangles = sum(len(surface_of(one).faces) for one in shown)
    if triangles > LARGEST_TRIANGLES:
        raise DataError(
            f"{triangles:,} triangles are more than the {LARGEST_TRIANGLES:,} that a page shows: make the surfaces "
            "simpler first (`vesalius mesh SEG -o simple.glb --max-error 0.3`, mm), or choose some structures"
        )


def _scan_note(scan: PackedScan) -> str:
    """How fine a scan is in the page, and what its greys mean."""
    spacing = " × ".join(f"{mm:.2g}" for mm in scan.grid.spacing_mm)
    black, white = (f"{value:.4g}".replace("-", "−") for value in scan.window)
    return f"voxels of {spacing} mm, black at {black} and white at {white}{f' {scan.unit}' if scan.unit else ''}"


def _refuse_elsewhere(shown: Sequence[Surface | Painted], scan: PackedScan) -> None:
    """A scan of another region, or of another patient."""
    last = np.array(scan.grid.shape) - 0.5
    for one in shown:
        low, high = (scan.grid.to_index(corner) for corner in surface_of(one).bounds_mm)
        if (high >= -0.5).all() and (low <= last).all():
            return
    raise GeometryError("all structures lie outside the scan: it is another region, or another patient's")


def _script() -> str:
    """The scripts as one, in a scope of their own."""
    package = resources.files("vesalius.report.view")
    parts = (package.joinpath(name).read_text(encoding="utf-8").strip() for name in _SCRIPTS)
    return "\n".join(['"use strict";', "(() => {", *parts, "})();"])


def _hash(text: str) -> str:
    """What the policy of the page names a script or a style by. Source: W3C, Content Security Policy Level 3, 2.3.1."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _structure(one: Surface | Painted, opacity: float) -> dict[str, Any]:
    surface = surface_of(one)
    closed = is_closed(surface.faces) and surface.volume_ml > 0  # one that is inside out is drawn from both sides
    told: dict[str, Any] = {
        "name": surface.label.name,
        "colour": colour_of(surface),
        "opacity": round(float(opacity), 4),
        "closed": closed,
        "volume": float(f"{surface.volume_ml:.6g}") if closed else None,
    }
    return told


def _bar(one: Surface | Painted, scales: Mapping[tuple[str, ColourScale], Any]) -> dict[str, int]:
    return {"scale": list(scales).index((one.title, one.scale))} if isinstance(one, Painted) else {}


def _scales(shown: Sequence[Surface | Painted]) -> dict[tuple[str, ColourScale], dict[str, Any]]:
    """The scales of colours, each once: a bar each."""
    found: dict[tuple[str, ColourScale], dict[str, Any]] = {}
    for one in shown:
        if isinstance(one, Painted) and (one.title, one.scale) not in found:
            steps = one.scale.colours(np.linspace(one.scale.low, one.scale.high, _COLOURS))
            bar = {"title": one.title, "low": one.scale.low, "high": one.scale.high, "colours": steps.tobytes().hex()}
            found[one.title, one.scale] = bar
    return found


def _upwards(number: float) -> float:
    """To two digits, upwards: a bound stays one."""
    power = 10.0 ** (math.floor(math.log10(number)) - 1)
    return float(f"{math.ceil(number / power * (1 - 1e-12)) * power:.6g}")
