"""NIfTI-1 and NIfTI-2: ``.nii``, ``.nii.gz``, and the pair ``.hdr`` and ``.img``."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.image import Labels, Meta
from vesalius.io.atomic import atomic_path
from vesalius.io.contents import Contents, fit_type, labels_from_json, labels_to_json
from vesalius.io.nifti_header import DTYPES, LONGEST_HEADER, RGB, RGBA, Header, build, locate, parse
from vesalius.io.stream import encode, encoding_of, read_array, read_start

_COMMENT = 6  # the extension code of plain text; other readers skip it
_MARK = b"vesalius labels 1\n"
_LONGEST_EXTENSIONS = 1 << 20


def read(path: Path) -> Contents:
    """Read a NIfTI file, whichever of a pair is named; gzip is known by its content.

    Axes beyond space become channels; RGB becomes three channels and alpha is dropped. Integers with a whole slope and
    intercept stay integers; other scaled values become float32, or float64 where float32 could not tell them apart.

    Raises:
        FormatError: The file is not NIfTI, cut off, or of a type that cannot be read.
        GeometryError: The affine is singular or not finite.

    Example:
        >>> import tempfile
        >>> from vesalius.image import Grid
        >>> held = Contents(np.zeros((1, 4, 5, 6), np.int16), Grid.from_spacing((4, 5, 6), (1, 1, 3)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(held, Path(folder) / "a.nii.gz")
        ...     read(Path(folder) / "a.nii.gz").grid.spacing_mm
        (1.0, 1.0, 3.0)
    """
    header_path, image_path = _pair(path)
    for part in (header_path, image_path):
        if not part.is_file():
            raise FormatError(f"the other half of the pair, {part.name}, is missing; put it beside")
    encoding = encoding_of(header_path)
    header = parse(read_start(header_path, LONGEST_HEADER, encoding=encoding))
    if header.detached and header_path == image_path:
        raise FormatError("its voxels are in another file; name the pair .hdr and .img and read one of them")
    data_path = image_path if header.detached else header_path
    with np.errstate(all="ignore"):  # numbers of a damaged header are judged when the grid is made
        grid, notes = locate(header)
    samples = {RGB: 3, RGBA: 4}.get(int(header.fields["datatype"]), 1)
    if samples > 1 and header.channels > 1:
        raise FormatError("it has colours and a fourth axis; only one of them can be read as channels")
    flat = read_array(
        data_path,
        header.dtype,
        grid.size * header.channels * samples,
        offset=header.offset,
        encoding=encoding_of(data_path),
    )
    if samples > 1:
        array = flat.reshape(*grid.shape[::-1], samples).T[:3]
        notes += ("The alpha channel was dropped.",) if samples == 4 else ()
        return Contents(array, grid, Meta(modality="RGB", notes=notes))
    array = flat.reshape(header.channels, *grid.shape[::-1]).transpose(0, *range(grid.ndim, 0, -1))
    return Contents(
        _scaled(array, *header.scaling), grid, Meta(notes=notes), _read_names(header_path, header, encoding)
    )


def write(contents: Contents, path: Path) -> None:
    """Write NIfTI; see `vesalius.io.write`.

    Colour pictures become RGB24, other channels the fourth axis. Names of labels go into a comment extension.
    """
    header_path, image_path = _pair(path)
    detached = header_path != image_path
    array = fit_type(contents.array, {np.dtype(code).name for code in DTYPES.values()}, "NIfTI")
    is_colour = contents.meta.modality == "RGB" and array.dtype == np.uint8 and len(array) == 3
    datatype = RGB if is_colour else next(k for k, code in DTYPES.items() if np.dtype(code) == array.dtype)
    names = b"" if contents.labels is None else _comment(_MARK + labels_to_json(contents.labels).encode())
    offset = 0
    for _ in range(2):  # the offset follows from the header's length, which follows from its version
        header = build(contents.grid, 1 if is_colour else len(array), datatype, detached=detached, offset=offset)
        offset = 0 if detached else len(header) + 4 + len(names)
    head = header + (b"\1\0\0\0" if names else bytes(4)) + names
    ordered = np.ascontiguousarray(array.T if is_colour else array.transpose(0, *range(array.ndim - 1, 0, -1)))
    if not detached:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.writelines(encode([head, ordered], "gzip" if path.name.lower().endswith(".gz") else "raw"))
        return
    # The header is renamed into place last, so that whoever sees it finds its voxels.
    with atomic_path(header_path) as temporary_header, atomic_path(image_path) as temporary_image:
        temporary_header.write_bytes(head)
        with temporary_image.open("wb") as file:
            file.writelines(encode([ordered], "raw"))


def _pair(path: Path) -> tuple[Path, Path]:
    suffix = path.suffix
    if suffix.lower() not in (".hdr", ".img"):
        return path, path
    header, image = (".HDR", ".IMG") if suffix.isupper() else (".hdr", ".img")
    return path.with_suffix(header), path.with_suffix(image)


def _scaled(array: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    if (slope, intercept) == (1.0, 0.0):
        return array
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinity is refused where volumes are made
            return (array * slope + intercept).astype(array.dtype)
    lowest, highest = int(array.min()), int(array.max())
    if slope.is_integer() and intercept.is_integer() and max(abs(slope), abs(intercept)) < 2**31:
        ends = sorted(value * int(slope) + int(intercept) for value in (lowest, highest))
        for dtype in (array.dtype, np.dtype(np.int16), np.dtype(np.int32)):
            if np.iinfo(dtype).min <= ends[0] and ends[1] <= np.iinfo(dtype).max:
                # int64 holds every product: the ends fit 32 bits, or nothing is larger than what was stored.
                return (array.astype(np.int64) * int(slope) + int(intercept)).astype(dtype)
    exact = max(abs(lowest), abs(highest)) <= 2**24  # float32 has 24 bits
    scaled = np.empty_like(array, dtype=np.float32 if exact else np.float64)
    # In double precision, plane by plane: as exact as can be, without a double-sized copy of the whole.
    for channel in range(len(array)):
        for at in range(array.shape[-1]):
            with np.errstate(over="ignore"):
                scaled[channel, ..., at] = array[channel, ..., at] * slope + intercept
    return scaled


def _comment(text: bytes) -> bytes:
    size = -(-(8 + len(text)) // 16) * 16
    return struct.pack("=ii", size, _COMMENT) + text.ljust(size - 8, b"\0")


def _read_names(path: Path, header: Header, encoding: Any) -> Labels | None:
    """The names that `write` left in a comment extension, if it did."""
    begin = header.fields.dtype.itemsize
    end = min(header.offset, _LONGEST_EXTENSIONS)
    if header.detached:
        end = _LONGEST_EXTENSIONS
    elif end < begin + 4 + 16:
        return None
    start = read_start(path, end, encoding=encoding)
    order = header.fields.dtype["dim"].base.byteorder.replace("|", "=")
    at = begin + 4
    while start[begin : begin + 1] == b"\1" and at + 8 <= len(start):
        size, code = struct.unpack(order + "ii", start[at : at + 8])
        body = start[at + 8 : at + size]
        if size < 16 or at + size > len(start):
            return None
        if code == _COMMENT and body.startswith(_MARK):
            return labels_from_json(body[len(_MARK) :].rstrip(b"\0").decode("utf-8", "replace"))
        at += size
    return None
