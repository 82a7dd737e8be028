"""NRRD: ``.nrrd`` (header and voxels in one file) and ``.nhdr`` (header beside the voxels).

Source: teem.sourceforge.net/nrrd/format.html (NRRD0005); label names as 3D Slicer writes them in ``.seg.nrrd``. Checked
against SimpleITK and pynrrd.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, FormatError
from vesalius.image import Grid, Label, Labels, Meta
from vesalius.io.atomic import atomic_path
from vesalius.io.contents import Contents, fit_type, labels_from_json, labels_to_json, place
from vesalius.io.stream import beside, encode, read_array, read_start

_TYPES = {
    "i1": ("int8", "signed char", "int8_t"),
    "u1": ("uint8", "uchar", "unsigned char", "uint8_t"),
    "i2": ("int16", "short", "short int", "signed short", "signed short int", "int16_t"),
    "u2": ("uint16", "ushort", "unsigned short", "unsigned short int", "uint16_t"),
    "i4": ("int32", "int", "signed int", "int32_t"),
    "u4": ("uint32", "uint", "unsigned int", "uint32_t"),
    "i8": ("int64", "longlong", "long long", "long long int", "signed long long", "signed long long int", "int64_t"),
    "u8": ("uint64", "ulonglong", "unsigned long long", "unsigned long long int", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPES = {name: code for code, names in _TYPES.items() for name in names}
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
    "scanner-xyz": (1, 1, 1),
    "3d-right-handed": (1, 1, 1),
    "3d-left-handed": (1, 1, 1),
}
_NO_ANATOMY = {"scanner-xyz", "3d-right-handed", "3d-left-handed"}
_SPATIAL_KINDS = {"domain", "space"}
_COLOURS = {"rgb-color", "rgba-color"}
_UNITS_TO_MM = {"mm": 1.0, "m": 1000.0, "cm": 10.0, "um": 0.001, "µm": 0.001, "micron": 0.001, "nm": 1e-6}
_LONGEST_HEADER = 1 << 20
_LABELS_KEY = "vesalius_labels"


@dataclass(frozen=True)
class _Header:
    fields: dict[str, str]
    keys: dict[str, str]
    end: int

    def words(self, field: str, count: int) -> list[str] | None:
        """The words of a field that says something of each axis."""
        if field not in self.fields:
            return None
        found = re.findall(r"\([^)]*\)|\"[^\"]*\"|\S+", self.fields[field])
        if len(found) != count:
            raise FormatError(f"its field {field!r} has {len(found)} entries; there are {count} axes")
        return found

    def whole(self, field: str, default: int | None = None) -> int:
        """A field that is a whole number."""
        if field not in self.fields and default is not None:
            return default
        number: int = _numbers(field, [self.fields.get(field, "")], int)[0]
        return number


def read(path: Path) -> Contents:
    """Read a NRRD file, raw or gzip.

    The axis without a direction, or of a kind that is not of space, becomes the channels, wherever it stands. Points
    in RAS or LAS are converted to LPS.

    Raises:
        FormatError: The file is not NRRD, cut off, or uses what cannot be read.
        GeometryError: The directions are singular or not finite.

    Example:
        >>> import tempfile
        >>> held = Contents(np.zeros((2, 4, 5, 6), np.int16), Grid.from_spacing((4, 5, 6), (1, 1, 3)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(held, Path(folder) / "a.nrrd")
        ...     read(Path(folder) / "a.nrrd").array.shape
        (2, 4, 5, 6)
    """
    header = _parse(read_start(path, _LONGEST_HEADER))
    axes = header.whole("dimension")
    sizes = _numbers("sizes", header.words("sizes", axes) or [""], int)
    if not 1 <= axes <= 16 or min(sizes) < 1:
        raise FormatError(f"its shape cannot be: sizes {sizes}")
    channel, notes = _channel_axis(header, axes)
    with np.errstate(all="ignore"):  # numbers of a damaged header are judged when the grid is made
        grid, channels, calibrated, more = _locate(header, sizes, channel)
    flat = _read_voxels(path, header, grid.size * channels)
    array = flat.reshape(sizes[::-1]).T
    # Without a channel axis of its own the fourth axis, if there is one, is the channels.
    at = channel if channel is not None else (len(sizes) - 1 if len(sizes) > grid.ndim else None)
    array = array[None] if at is None else np.moveaxis(array, at, 0)
    kind = (header.words("kinds", axes) or [""] * axes)[at].lower() if at is not None else ""
    if kind == "rgba-color":
        array, more = array[:3], [*more, "The alpha channel was dropped."]
    array = array.reshape(len(array), *grid.shape)
    meta = Meta(modality="RGB" if kind in _COLOURS else "OT", calibrated=calibrated, notes=(*notes, *more))
    return Contents(array, grid, meta, _read_names(header))


def write(contents: Contents, path: Path) -> None:
    """Write NRRD in LPS; see `vesalius.io.write`.

    A ``.nrrd`` is gzipped, a ``.nhdr`` gets a ``.nhdr.raw`` beside it.
    """
    array = fit_type(contents.array, {np.dtype(code).name for code in _TYPES}, "NRRD")
    is_detached = path.suffix.lower() == ".nhdr"
    grid, many = contents.grid, len(array) > 1
    code = f"{array.dtype.kind}{array.dtype.itemsize}"
    directions = [_vector(grid.affine[:-1, k]) for k in range(grid.ndim)] + ["none"] * many
    kind = "RGB-color" if contents.meta.modality == "RGB" and len(array) == 3 else "list"
    raw = path.with_name(f"{path.name}.raw")  # not `.raw` alone, which a `.mhd` of the same name may have
    lines = [
        "NRRD0005",
        f"type: {_TYPES[code][0]}",
        f"dimension: {grid.ndim + many}",
        "space: left-posterior-superior" if grid.ndim == 3 else "space dimension: 2",
        "sizes: " + " ".join(map(str, [*grid.shape, *[len(array)] * many])),
        "space directions: " + " ".join(directions),
        "kinds: " + " ".join(["domain"] * grid.ndim + [kind] * many),
        f"endian: {sys.byteorder}",
        f"encoding: {'raw' if is_detached else 'gzip'}",
        f"space origin: {_vector(grid.affine[:-1, -1])}",
        *([f"data file: {raw.name}"] if is_detached else []),
        *([] if contents.labels is None else _names(contents.labels, grid.shape)),
    ]
    head = "\n".join([*lines, "", ""]).encode()
    ordered = np.ascontiguousarray(array.transpose(0, *range(array.ndim - 1, 0, -1)))
    if not is_detached:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(head)
            file.writelines(encode([ordered], "gzip"))
        return
    with atomic_path(path) as temporary_header, atomic_path(raw) as temporary_raw:
        temporary_header.write_bytes(head)
        with temporary_raw.open("wb") as file:
            file.writelines(encode([ordered], "raw"))


def _parse(start: bytes) -> _Header:
    if not re.match(rb"NRRD000[1-5]\r?\n", start):
        raise FormatError("not a NRRD file: it does not begin with NRRD0001 to NRRD0005")
    blank = re.search(rb"\r?\n\r?\n", start)
    if blank is None and len(start) == _LONGEST_HEADER:
        raise FormatError(f"its header does not end within {_LONGEST_HEADER:,} bytes")
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    text = start[: blank.start() if blank else None].decode("utf-8", "replace")
    for line in text.splitlines()[1:]:
        if line.startswith("#"):
            continue
        name, separator, value = line.partition(":=")
        if separator and ": " not in name:
            keys[name] = re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)
            continue
        name, _, value = line.partition(":")
        fields[name.strip().lower().replace("datafile", "data file")] = value.strip()
    return _Header(fields, keys, blank.end() if blank else len(start))


def _channel_axis(header: _Header, axes: int) -> tuple[int | None, list[str]]:
    kinds = header.words("kinds", axes) or ["???"] * axes
    if any("complex" in kind.lower() for kind in kinds):
        raise FormatError("its voxels are complex; convert it to an integer or float type")
    directions = header.words("space directions", axes)
    if directions is not None:
        others = [axis for axis in range(axes) if directions[axis].lower() == "none"]
    else:
        others = [axis for axis in range(axes) if kinds[axis].lower() not in {*_SPATIAL_KINDS, "???", "none"}]
    if len(others) > 1:
        raise FormatError(f"it has {len(others)} axes beyond space; only one, of channels, can be read")
    if others:
        return others[0], []
    if axes == 4 and directions is None:
        return 3, ["The file does not say which axis is not space; the last was read as channels."]
    return None, []


def _locate(header: _Header, sizes: list[int], channel: int | None) -> tuple[Grid, int, bool, list[str]]:
    axes = [axis for axis in range(len(sizes)) if axis != channel]
    shape = [sizes[axis] for axis in axes]
    channels = 1 if channel is None else sizes[channel]
    n = len(axes)
    notes: list[str] = []
    space = header.fields.get("space", "").lower()
    directions = header.words("space directions", len(sizes))
    if directions is None:
        spacings = header.words("spacings", len(sizes))
        told = [1.0] * n if spacings is None else _numbers("spacings", [spacings[axis] for axis in axes], float)
        affine = np.diag([*told, 1.0])
        grid, more = place(shape, affine)
        return grid, channels * more, spacings is not None, notes
    columns = [_numbers("space directions", directions[axis].strip("()").split(","), float) for axis in axes]
    origin = header.fields.get("space origin")
    columns.append(
        [0.0] * len(columns[0]) if origin is None else _numbers("origin", origin.strip("()").split(","), float)
    )
    if len({len(column) for column in columns}) != 1:
        raise FormatError("its space directions and origin have different numbers of coordinates")
    matrix = np.array(columns).T
    units = [unit.strip('"').lower() for unit in header.fields.get("space units", "").split()]
    matrix *= np.array([_UNITS_TO_MM.get(unit, 1.0) for unit in units] if len(units) == len(matrix) else [1.0])[:, None]
    if space:
        if space not in _TO_LPS:
            raise FormatError(f"its space {space!r} is unknown; known: {', '.join(sorted(_TO_LPS))}")
        if len(matrix) != 3:
            raise FormatError(f"its space {space!r} has three coordinates; the directions have {len(matrix)}")
        matrix *= np.array(_TO_LPS[space])[:, None]
        notes += [f"Its space {space!r} says nothing of anatomy; it was read as LPS."] if space in _NO_ANATOMY else []
    if matrix.shape == (3, 3):  # a picture that stands in space: one slice of a volume
        normal = np.cross(matrix[:, 0], matrix[:, 1])
        length = np.linalg.norm(normal)
        matrix = np.insert(matrix, 2, normal / (length or 1.0), axis=1)
        shape, n = [*shape, 1], 3
        notes.append("The picture lies in space; it is read as one slice, 1 mm thick, of a volume.")
    if matrix.shape != (n, n + 1):
        raise FormatError(f"it has {n} axes of space and {len(matrix)} coordinates; they must be as many")
    grid, more = place(shape, np.vstack([matrix, [*[0.0] * n, 1.0]]))
    return grid, channels * more, True, notes


def _read_voxels(path: Path, header: _Header, count: int) -> NDArray[Any]:
    name = header.fields.get("type", "").lower()
    if name not in _DTYPES:
        raise FormatError(
            f"its type {name!r} cannot be read; known: {', '.join(names[0] for names in _TYPES.values())}"
        )
    dtype = np.dtype(_DTYPES[name])
    endian = header.fields.get("endian", "").lower()
    if dtype.itemsize > 1:
        if endian not in ("little", "big"):
            raise FormatError(f"its endian is {endian!r}; it must be little or big")
        dtype = dtype.newbyteorder("<" if endian == "little" else ">")
    encoding = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}.get(header.fields.get("encoding", "").lower())
    if encoding is None:
        stored = header.fields.get("encoding", "")
        raise FormatError(f"its encoding {stored!r} cannot be read; write it anew as raw or gzip")
    if header.whole("line skip", 0) != 0:
        raise FormatError("it skips lines before its voxels, which cannot be read; write it anew")
    skip = header.whole("byte skip", 0)
    detached = header.fields.get("data file")
    if detached is not None and (detached.upper().startswith("LIST") or "%" in detached):
        raise FormatError("its voxels are spread over several files; write it anew as one")
    data, start = (path, header.end) if detached is None else (beside(path, detached), 0)
    if skip == -1 and encoding == "raw":  # the voxels are the last bytes, whatever stands before
        start, skip = max(data.stat().st_size - count * dtype.itemsize, 0), 0
    if skip < 0:
        raise FormatError(f"it cannot skip {skip} bytes")
    return read_array(data, dtype, count, offset=skip, start=start, encoding="gzip" if encoding == "gzip" else "raw")


def _numbers(field: str, words: list[str], kind: Any) -> list[Any]:
    try:
        return [kind(word) for word in words]
    except ValueError:
        raise FormatError(f"its field {field!r} is missing or does not hold numbers") from None


def _vector(numbers: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(number)) for number in numbers) + ")"


def _names(labels: Labels, shape: tuple[int, ...]) -> list[str]:
    extent = " ".join(f"0 {n - 1}" for n in shape)
    lines = [f"{_LABELS_KEY}:={_escaped(labels_to_json(labels))}"]
    for at, label in enumerate(labels.labels):
        told = {
            "ID": f"Segment_{label.value}",
            "Name": _escaped(label.name),
            "LabelValue": str(label.value),
            "Layer": "0",
            "Color": " ".join(f"{part / 255:.6g}" for part in labels.colour(label.value)),
            "Extent": extent,
        }
        lines += [f"Segment{at}_{key}:={value}" for key, value in told.items()]
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _read_names(header: _Header) -> Labels | None:
    if _LABELS_KEY in header.keys:
        return labels_from_json(header.keys[_LABELS_KEY])
    found: dict[int, Label] = {}
    for key, value in header.keys.items():
        segment = re.fullmatch(r"(Segment\d+_)LabelValue", key)
        if segment and value.strip().isdecimal():
            number = int(value)
            name = header.keys.get(f"{segment[1]}Name", "") or f"label {number}"
            taken = {label.name for label in found.values()}
            parts = header.keys.get(f"{segment[1]}Color", "").split()
            try:
                red, green, blue = (round(min(max(float(part), 0.0), 1.0) * 255) for part in parts)
                colour = (red, green, blue)
            except ValueError:
                colour = None
            found[number] = Label(f"{name} ({number})" if name in taken else name, number, colour)
    try:
        return Labels(tuple(found.values())) if found else None
    except DataError:  # values beyond what labels may be: the array will say so where it matters
        return None
