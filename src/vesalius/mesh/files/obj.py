"""Wavefront OBJ: one object a structure, with its colour in a library of materials beside it (MTL).

Source: Wavefront Technologies, Advanced Visualizer Manual, appendix B1 (OBJ) and the MTL format, 1995. ``SPACE=`` in a
comment is 3D Slicer's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vesalius.errors import FormatError
from vesalius.mesh.files.content import Axes, colour_of, made, named, said_space, split_polygons, turned
from vesalius.mesh.surface import Surface

_MOST_OBJECTS = 0xFFFF


def encode(surfaces: Sequence[Surface], *, library: str, axes: Axes = "lps") -> bytes:
    """An OBJ text of all the surfaces.

    Args:
        surfaces: In patient space.
        library: Name of the file of `materials`, in the same folder.
        axes: Of the file; a comment tells them.

    Example:
        >>> from vesalius.image import Label
        >>> one = Surface(np.eye(4)[:, :3], np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]), Label("a b", 1))
        >>> encode([one], library="x.mtl").decode().splitlines()[:4]
        ['# made by Vesalius, units mm', '# SPACE=LPS', 'mtllib x.mtl', 'o a_b']
    """
    lines = ["# made by Vesalius, units mm", f"# SPACE={axes.upper()}", f"mtllib {library}"]
    before = 1
    for surface, name in zip(surfaces, words(surfaces), strict=True):
        lines += [f"o {name}", f"usemtl {name}"]
        lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in (turned(surface.vertices, axes) + 0.0).tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (surface.faces.astype(np.int64) + before).tolist()]
        before += len(surface.vertices)
    return ("\n".join(lines) + "\n").encode()


def materials(surfaces: Sequence[Surface], *, opacity: Mapping[str, float]) -> bytes:
    """The library of materials: a colour for each structure, and how far one sees through it.

    Args:
        surfaces: As for `encode`.
        opacity: By the structure's name, 0 to 1.
    """
    lines = ["# made by Vesalius"]
    for surface, name in zip(surfaces, words(surfaces), strict=True):
        red, green, blue = (c / 255 for c in colour_of(surface))
        lines += [f"newmtl {name}", f"Kd {red:.4f} {green:.4f} {blue:.4f}", "Ks 0.1 0.1 0.1", "Ns 20"]
        lines += [f"d {opacity.get(surface.label.name, 1.0):.3g}", "illum 2"]
    return ("\n".join(lines) + "\n").encode()


def words(surfaces: Sequence[Surface]) -> list[str]:
    """Names of one word each, which differ: what the format calls for."""
    found: list[str] = []
    for surface in surfaces:
        name = re.sub(r"\s+", "_", surface.label.name.strip()) or "structure"
        found.append(name if name not in found else f"{name}_{len(found) + 1}")
    return found


def decode(data: bytes, path: Path, *, axes: Axes | None = None) -> tuple[Surface, ...]:
    """Read an OBJ file: each object, else each group, becomes a surface; materials are not read.

    Args:
        data: The file.
        path: For the name of what has none.
        axes: Of a file that does not tell them; LPS when left out.

    Raises:
        FormatError: The file holds no faces, a line that is cut off, or faces of vertices that are not there.
    """
    places: list[tuple[float, float, float]] = []
    objects: dict[str, tuple[list[int], list[int]]] = {}
    comments: list[str] = []
    current = named(path)
    try:
        for line in data.decode("utf-8", "replace").splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                x, y, z, *_ = map(float, rest.split())
                places.append((x, y, z))
            elif kind == "f":
                corners, counts = objects.setdefault(current, ([], []))
                numbers = [int(word.partition("/")[0]) for word in rest.split()]
                if len(numbers) < 3 or 0 in numbers:
                    raise ValueError("a face of fewer than three vertices")
                # Negative numbers count back from the last vertex so far.
                corners += [n - 1 if n > 0 else len(places) + n for n in numbers]
                counts.append(len(numbers))
            elif kind in ("o", "g") and rest.strip():
                current = rest.strip()
            elif kind.startswith("#"):
                comments.append(line)
    except (ValueError, OverflowError):
        raise FormatError("the OBJ file has a vertex or a face that is cut off or no number") from None
    if not objects or len(objects) > _MOST_OBJECTS:
        raise FormatError(f"the OBJ file has {len(objects)} objects with faces; 1 to {_MOST_OBJECTS} can be read")
    points = np.asarray(places, np.float64).reshape(-1, 3)
    space = said_space(" ".join(comments[:20])) or axes or "lps"
    surfaces = []
    for value, (name, (corners, counts)) in enumerate(objects.items(), start=1):
        triangles = split_polygons(np.asarray(corners, np.int64), np.asarray(counts, np.int64))
        if not (0 <= triangles.min() and triangles.max() < len(points)):
            raise FormatError("a face names a vertex that is not there")
        used, which = np.unique(triangles, return_inverse=True)
        surfaces.append(made(points[used], which, name=name, value=value, axes=space))
    return tuple(surfaces)
