"""Mesh files, one file a format: surfaces of structures out, and in again.

Every format module has ``encode(surfaces, …) -> bytes`` and, where it is read, ``decode(data, path, *, axes)``; what is
common stands in `vesalius.mesh.files.content`. To add a format, write the file and give it a line in `FORMATS`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from vesalius.errors import DataError, FormatError, unknown_name
from vesalius.io.atomic import atomic_folder, write_bytes
from vesalius.mesh.files.content import LARGEST_BYTES, Axes
from vesalius.mesh.files.gltf import Compression
from vesalius.mesh.files.measured import HOLD, refuse_values
from vesalius.mesh.painted import Painted, surface_of
from vesalius.mesh.surface import Surface

FORMATS = {
    ".stl": "triangles for printers; no names, no colours",
    ".3mf": "for printers: an object a structure, named, coloured, in millimetres",
    ".ply": "vertices with colours, faces with their label",
    ".obj": "an object a structure; colours in a .mtl beside it",
    ".glb": "glTF for the web and augmented reality: a node a structure",
    ".vtp": "VTK's polygonal data, for ParaView and Slicer (only written)",
}
"""What can be written, by extension, and what for."""

READ = (".stl", ".3mf", ".ply", ".obj", ".glb")
"""What can be read."""


def write_mesh(
    surfaces: Sequence[Surface | Painted],
    path: str | os.PathLike[str],
    *,
    axes: Axes = "lps",
    opacity: Mapping[str, float] | None = None,
    compression: Compression = "quantised",
    assembled: bool = True,
) -> None:
    """Write surfaces to one file, whole or not at all; equal surfaces make equal bytes.

    Coordinates are the patient's, in millimetres; only GLB has metres and axes of its own, as glTF asks.

    Args:
        surfaces: Of structures, or those with values at their vertices for the formats of `HOLD`. Empty ones are left
            out.
        path: The file; the extension says which format: see `FORMATS`.
        axes: ``"ras"`` where another program expects it. The file tells which, where its format has a place.
        opacity: By the structure's name, 0 to 1, for the formats that show it (3MF, OBJ, GLB).
        compression: Of GLB: see `vesalius.mesh.files.gltf.Compression`.
        assembled: In 3MF, keep the structures where they are to each other; else a printer's program arranges them.

    Raises:
        DataError: There is nothing to write, an opacity is not between 0 and 1, or of a structure that is not there.
        FormatError: The extension is of no format, or the format cannot hold the surfaces or their values.
        MissingDependencyError: Draco's compression was asked for, and DracoPy is not installed.
        VesaliusError: The system refused to write.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from vesalius.image import Label
        >>> corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9.0]])
        >>> one = Surface(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]), Label("corner", 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_mesh([one], folder + "/corner.3mf")
        ...     (again,) = read_mesh(folder + "/corner.3mf")
        >>> again.label.name, again.label.value, round(again.volume_ml, 4)
        ('corner', 3, 0.1215)
    """
    target = Path(path)
    suffix = _suffix(target, tuple(FORMATS))
    _refuse_axes(axes)
    whole = _whole(surfaces, opacity or {})
    refuse_values(whole, suffix)
    if suffix == ".obj":
        from vesalius.mesh.files import obj

        library = target.with_suffix(".mtl")
        triangles = [surface_of(one) for one in whole]
        write_bytes(library, obj.materials(triangles, opacity=opacity or {}))
        write_bytes(target, obj.encode(triangles, library=library.name, axes=axes))
        return
    write_bytes(target, _encoded(suffix, whole, axes, opacity, compression, assembled=assembled))


def write_meshes(
    surfaces: Sequence[Surface | Painted],
    folder: str | os.PathLike[str],
    *,
    suffix: str = ".stl",
    axes: Axes = "lps",
    opacity: Mapping[str, float] | None = None,
    compression: Compression = "quantised",
) -> tuple[str, ...]:
    """Write a file for each structure into a new folder, all or none of them.

    Args:
        surfaces: Of structures. Empty ones are left out.
        folder: Nothing may stand there, but an empty folder.
        suffix: The format of the files.
        axes: As for `write_mesh`.
        opacity: As for `write_mesh`.
        compression: As for `write_mesh`.

    Returns:
        The names of the files, in the order of the surfaces: the structures' own, in letters that all systems allow.

    Raises:
        DataError: As for `write_mesh`.
        FormatError: As for `write_mesh`.
        VesaliusError: Something stands there, or the system refused to write.
    """
    suffix = _suffix(Path(f"x{suffix}"), tuple(FORMATS))
    whole = _whole(surfaces, opacity or {})
    names: list[str] = []
    with atomic_folder(folder) as temporary:
        for surface in whole:
            plain = re.sub(r"[^\w.-]+", "_", surface.label.name).strip("._") or f"label_{surface.label.value}"
            taken = {name.lower() for name in names}  # some systems know no case
            plain = plain if f"{plain}{suffix}".lower() not in taken else f"{plain}_{surface.label.value}_{len(names)}"
            own = {name: share for name, share in (opacity or {}).items() if name == surface.label.name}
            write_mesh([surface], temporary / f"{plain}{suffix}", axes=axes, opacity=own, compression=compression)
            names.append(f"{plain}{suffix}")
    return tuple(names)


def read_mesh(path: str | os.PathLike[str], *, axes: Axes | None = None) -> tuple[Surface, ...]:
    """Read the surfaces of a mesh file, in patient space (LPS, mm).

    Formats without units are taken as millimetres. What a file says of its axes (``SPACE=RAS`` of 3D Slicer, or ours)
    is followed.

    Args:
        path: A file whose extension is one of `READ`.
        axes: Of a file that does not tell them; LPS when left out.

    Raises:
        FormatError: The file cannot be read, is cut off, or holds what cannot be; the message names it.
        MissingDependencyError: It is compressed with Draco, and DracoPy is not installed.
    """
    source = Path(path)
    suffix = _suffix(source, READ)
    if axes is not None:
        _refuse_axes(axes)
    data = _data(source)
    with _naming(source):
        if suffix == ".stl":
            from vesalius.mesh.files.stl import decode
        elif suffix == ".3mf":
            from vesalius.mesh.files.threemf import decode
        elif suffix == ".ply":
            from vesalius.mesh.files.ply import decode
        elif suffix == ".obj":
            from vesalius.mesh.files.obj import decode
        else:
            from vesalius.mesh.files.gltf_read import decode
        return decode(data, source, axes=axes)


def read_painted(path: str | os.PathLike[str]) -> tuple[Painted, ...]:
    """Read the surfaces of a mesh file that have values at their vertices, one for each kind of values.

    Args:
        path: A file of a format that is in `HOLD` and in `READ`: PLY or GLB. In files of others, numbers at vertices
            that are neither place, direction nor colour are values too, under the file's own name for them.

    Returns:
        None where no surface has values: `read_mesh` reads the surfaces alone.

    Raises:
        FormatError: As for `read_mesh`, or the values are damaged, or the format is not read with values.
        MissingDependencyError: As for `read_mesh`.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from vesalius.image import Label
        >>> from vesalius.mesh.painted import paint
        >>> wall = paint(Surface(np.eye(3), [[0, 1, 2]], Label("wall", 1)), np.arange(3.0), name="thickness", unit="mm")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_mesh([wall], folder + "/wall.ply")
        ...     (again,) = read_painted(folder + "/wall.ply")
        >>> again.title, again.values.tolist(), again.scale == wall.scale
        ('thickness (mm)', [0.0, 1.0, 2.0], True)
    """
    source = Path(path)
    suffix = _suffix(source, tuple(one for one in HOLD if one in READ))
    data = _data(source)
    with _naming(source):
        if suffix == ".ply":
            from vesalius.mesh.files.ply import decode_painted
        else:
            from vesalius.mesh.files.gltf_read import decode_painted
        return decode_painted(data, source)


def _data(source: Path) -> bytes:
    try:
        if source.stat().st_size > LARGEST_BYTES:
            raise FormatError(f"{source.name}: larger than the {LARGEST_BYTES >> 30} GiB that are read")
        return source.read_bytes()
    except OSError as error:
        raise FormatError(f"{source.name}: the file cannot be read: {error.strerror}") from error


def _encoded(
    suffix: str,
    surfaces: Sequence[Surface | Painted],
    axes: Axes,
    opacity: Mapping[str, float] | None,
    compression: Compression,
    *,
    assembled: bool,
) -> bytes:
    from vesalius.mesh.files import gltf, ply, stl, threemf, vtp

    if suffix == ".stl":
        return stl.encode([surface_of(one) for one in surfaces], axes=axes)
    if suffix == ".ply":
        return ply.encode(surfaces, axes=axes)
    if suffix == ".vtp":
        return vtp.encode(surfaces, axes=axes)
    if suffix == ".3mf":
        return threemf.encode([surface_of(one) for one in surfaces], axes=axes, opacity=opacity, assembled=assembled)
    if axes != "lps":
        raise FormatError("glTF has axes of its own (Y up): leave the axes out")
    return gltf.encode(surfaces, opacity=opacity, compression=compression)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{path.name}: {error}") from error


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    suffix = path.suffix.lower()
    if suffix not in known:
        raise FormatError(f"{path.name}: {unknown_name('mesh format', suffix, known)}")
    return suffix


def _refuse_axes(axes: str) -> None:
    if axes not in get_args(Axes):
        raise FormatError(unknown_name("orientation of axes", axes, get_args(Axes)))


def _whole(surfaces: Sequence[Surface | Painted], opacity: Mapping[str, float]) -> list[Surface | Painted]:
    whole = [surface for surface in surfaces if not surface.is_empty]
    if not whole:
        raise DataError("there is no surface to write: every structure is empty")
    names = {surface.label.name for surface in surfaces}
    for name, share in opacity.items():
        if name not in names:
            raise DataError(unknown_name("structure", name, names))
        if not 0 <= share <= 1:
            raise DataError(f"the opacity of {name} must be between 0 and 1, not {share}")
    return whole


__all__ = [
    "FORMATS",
    "HOLD",
    "READ",
    "Axes",
    "Compression",
    "read_mesh",
    "read_painted",
    "write_mesh",
    "write_meshes",
]
