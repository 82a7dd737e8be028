"""MetaImage: ``.mha`` (header and voxels in one file) and ``.mhd`` (header beside a ``.raw``).

Source: itk.org/Wiki/ITK/MetaIO/Documentation and MetaIO's ``metaTypes.h``; checked against SimpleITK.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.image import Meta
from vesalius.io.atomic import atomic_path
from vesalius.io.contents import Contents, fit_type, place
from vesalius.io.stream import Encoding, beside, encode, read_array, read_start

_DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # MetaIO's long has 4 bytes on every machine
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_WRITTEN = {code: name for name, code in reversed(_DTYPES.items())}
_SYNONYMS = {
    "Origin": "Offset",
    "Position": "Offset",
    "Rotation": "TransformMatrix",
    "Orientation": "TransformMatrix",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}
_LONGEST_HEADER = 1 << 20


def read(path: Path) -> Contents:
    """Read a MetaImage, raw or compressed; several samples a voxel, or a fourth axis, become channels.

    Raises:
        FormatError: The file is not a MetaImage, cut off, or uses what cannot be read.
        GeometryError: The matrix is singular or not finite.

    Example:
        >>> import tempfile
        >>> from vesalius.image import Grid
        >>> held = Contents(np.zeros((1, 4, 5, 6), np.int16), Grid.from_spacing((4, 5, 6), (1, 1, 3)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(held, Path(folder) / "a.mhd")
        ...     sorted(made.name for made in Path(folder).iterdir()), read(Path(folder) / "a.mhd").grid.spacing_mm
        (['a.mhd', 'a.raw'], (1.0, 1.0, 3.0))
    """
    fields, end = _parse(read_start(path, _LONGEST_HEADER))
    n = _numbers(fields, "NDims", 1, int)[0]
    if n not in (2, 3, 4):
        raise FormatError(f"it has {n} axes; 2 to 4 can be read")
    shape = _numbers(fields, "DimSize", n, int)
    samples = _numbers(fields, "ElementNumberOfChannels", 1, int, "1")[0]
    if min(*shape, samples) < 1:
        raise FormatError(f"its shape cannot be: DimSize {shape}, {samples} channels")
    with np.errstate(all="ignore"):  # numbers of a damaged header are judged when the grid is made
        grid, frames = place(shape, _affine(fields, n))
    if samples > 1 and frames > 1:
        raise FormatError("it has several samples a voxel and a fourth axis; only one of them can be read as channels")
    flat = _read_voxels(path, fields, end, grid.size * samples * frames)
    if samples > 1:
        array = flat.reshape(*grid.shape[::-1], samples).T
    else:
        array = flat.reshape(frames, *grid.shape[::-1]).transpose(0, *range(grid.ndim, 0, -1))
    return Contents(array, grid, Meta(calibrated="ElementSpacing" in fields or "ElementSize" in fields))


def write(contents: Contents, path: Path) -> None:
    """Write a MetaImage; see `vesalius.io.write`. A ``.mha`` is compressed, a ``.mhd`` gets a ``.raw`` beside it."""
    array = fit_type(contents.array, {np.dtype(code).name for code in _WRITTEN}, "MetaImage")
    is_detached = path.suffix.lower() == ".mhd"
    ordered = np.ascontiguousarray(array.T)  # samples of a voxel side by side, then i, j, k
    body = list(encode([ordered], "raw" if is_detached else "zlib"))
    grid = contents.grid
    raw = path.with_suffix(".raw")
    fields: dict[str, Any] = {
        "ObjectType": "Image",
        "NDims": grid.ndim,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": sys.byteorder == "big",
        "CompressedData": not is_detached,
        **({} if is_detached else {"CompressedDataSize": sum(map(len, body))}),
        "TransformMatrix": _text(grid.direction.T.flatten()),  # axis by axis
        "Offset": _text(grid.origin_mm),
        "CenterOfRotation": _text(np.zeros(grid.ndim)),
        "ElementSpacing": _text(grid.spacing_mm),
        "DimSize": " ".join(map(str, grid.shape)),
        **({"ElementNumberOfChannels": len(array)} if len(array) > 1 else {}),
        "ElementType": _WRITTEN[f"{array.dtype.kind}{array.dtype.itemsize}"],
        "ElementDataFile": raw.name if is_detached else "LOCAL",
    }
    head = "".join(f"{name} = {value}\n" for name, value in fields.items()).encode()
    if not is_detached:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.writelines([head, *body])
        return
    with atomic_path(path) as temporary_header, atomic_path(raw) as temporary_raw:
        temporary_header.write_bytes(head)
        with temporary_raw.open("wb") as file:
            file.writelines(body)


def _parse(start: bytes) -> tuple[dict[str, str], int]:
    # ElementDataFile is the last line of every header; what follows may be voxels.
    last = re.search(rb"^ElementDataFile\s*=\s*([^\r\n]*)\r?(\n|$)", start, re.MULTILINE)
    if last is None or not re.match(rb"\s*\w+\s*=", start):
        raise FormatError(
            f"not a MetaImage: no ElementDataFile in its first {min(len(start), _LONGEST_HEADER):,} bytes"
        )
    fields = {}
    for line in start[: last.end()].decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        fields[_SYNONYMS.get(name.strip(), name.strip())] = value.strip()
    return fields, last.end()


def _affine(fields: dict[str, str], n: int) -> NDArray[np.float64]:
    size = "ElementSpacing" if "ElementSpacing" in fields else "ElementSize"
    spacing = np.array(_numbers(fields, size, n, float, " ".join("1" * n)))
    matrix = _numbers(fields, "TransformMatrix", n * n, float, " ".join(map(str, np.eye(n).flatten())))
    affine = np.eye(n + 1)
    affine[:n, :n] = np.reshape(matrix, (n, n)).T * spacing
    affine[:n, n] = _numbers(fields, "Offset", n, float, " ".join("0" * n))
    return affine


def _read_voxels(path: Path, fields: dict[str, str], end: int, count: int) -> NDArray[Any]:
    name = fields.get("ElementType", "").removesuffix("_ARRAY")
    if name not in _DTYPES:
        raise FormatError(f"its ElementType {name!r} cannot be read; known: {', '.join(_DTYPES)}")
    if not _flag(fields, "BinaryData", default=True):
        raise FormatError("its voxels are text, which cannot be read; write it anew as binary")
    dtype = np.dtype(_DTYPES[name]).newbyteorder(">" if _flag(fields, "BinaryDataByteOrderMSB") else "<")
    file = fields["ElementDataFile"]
    if file.upper().startswith("LIST") or "%" in file:
        raise FormatError("its voxels are spread over several files; write it anew as one")
    data, start = (path, end) if file.upper() == "LOCAL" else (beside(path, file), 0)
    encoding: Encoding = "raw"
    if _flag(fields, "CompressedData"):
        with data.open("rb") as stream:
            stream.seek(start)
            encoding = "gzip" if stream.read(2) == b"\x1f\x8b" else "zlib"
    skip = _numbers(fields, "HeaderSize", 1, int, "0")[0]
    if skip == -1 and encoding == "raw":  # the voxels are the last bytes, whatever stands before
        start, skip = max(data.stat().st_size - count * dtype.itemsize, 0), 0
    if skip < 0:
        raise FormatError(f"its HeaderSize cannot be {skip}")
    return read_array(data, dtype, count, start=start + skip, encoding=encoding)


def _flag(fields: dict[str, str], name: str, *, default: bool = False) -> bool:
    return fields.get(name, str(default)).lower() in ("true", "1")


def _numbers(fields: dict[str, str], name: str, count: int, kind: Any, default: str = "") -> list[Any]:
    try:
        found = [kind(word) for word in fields.get(name, default).split()]
    except ValueError:
        found = []
    if len(found) != count:
        raise FormatError(f"its field {name} is missing or does not hold {count} numbers")
    return found


def _text(numbers: Any) -> str:
    return " ".join(repr(float(number)) for number in numbers)
