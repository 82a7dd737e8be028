"""NumPy: ``.npy`` (an array alone) and ``.npz`` (with its place, its meaning and its label names)."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.image import Grid, Meta, Modality
from vesalius.io.atomic import atomic_path
from vesalius.io.contents import Contents, grid_of, labels_from_json, labels_to_json, refuse_geometry
from vesalius.io.stream import encode, native, read_array, refuse_unholdable

_ARRAY, _AFFINE, _META, _LABELS = "array", "affine", "meta", "labels"
_KNOWN_KEYS = ("array", "data", "image", "img", "volume", "vol_data", "vol", "x", "seg", "label", "mask", "arr_0")
_LONGEST_HEADER = 1 << 16


def read(path: Path) -> Contents:
    """Read a NumPy file; pickled objects are refused.

    Our own ``.npz`` carries everything. Any other array is taken in index order, (i, j), (i, j, k) or (c, i, j, k),
    on a lattice of spacing 1 that is marked as not calibrated.

    Raises:
        FormatError: The file is damaged, cut off, holds objects, or holds several arrays none of which has a known
            name.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(Path(folder) / "a.npz", data=np.zeros((4, 5, 6)))
        ...     read(Path(folder) / "a.npz").meta.calibrated
        False
    """
    if path.suffix.lower() == ".npy":
        dtype, shape, is_fortran, start = _parse(_head_of(path))
        flat = read_array(path, dtype, int(np.prod(shape, dtype=object)), offset=start)
        return _bare(native(flat.reshape(shape, order="F" if is_fortran else "C")))
    try:
        with zipfile.ZipFile(path) as archive:
            members = {Path(info.filename).stem: info for info in archive.infolist() if info.filename.endswith(".npy")}
            array = _member(archive, members[_chosen(archive, members)])
            if _AFFINE not in members or _ARRAY not in members:
                return _bare(array)
            affine = _member(archive, members[_AFFINE])
            texts = {key: str(_member(archive, members[key])) for key in (_META, _LABELS) if key in members}
    except FormatError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, ValueError) as error:
        raise FormatError(f"the .npz is damaged or cut off ({type(error).__name__}): fetch it again") from error
    if affine.ndim != 2 or affine.dtype.kind != "f" or array.ndim != len(affine):
        raise FormatError(f"its affine {affine.shape} does not fit its array {array.shape}")
    labels = labels_from_json(texts[_LABELS]) if _LABELS in texts else None
    return Contents(array, grid_of(array.shape[1:], affine), _meta(texts), labels)


def write(contents: Contents, path: Path) -> None:
    """Write a NumPy file; see `vesalius.io.write`.

    ``.npz`` holds everything: ``array`` (c, i, j[, k]), ``affine`` (LPS, mm), ``meta`` and ``labels`` (JSON text).
    ``.npy`` holds one channel without a place.

    Raises:
        FormatError: A ``.npy`` of several channels was asked for.
        GeometryError: A ``.npy`` of a grid with a place in space was asked for.
    """
    array = contents.array
    if path.suffix.lower() == ".npy":
        refuse_geometry(contents, "NumPy's .npy")
        if len(array) > 1:
            raise FormatError(f".npy holds one channel, not {len(array)}; write .npz")
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            # Not `np.save`: on a full disk it raises an error that does not say so.
            bare = np.ascontiguousarray(array[0])
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(bare))
            file.writelines(encode([bare], "raw"))
        return
    meta = contents.meta
    told = {"modality": meta.modality, "unit": meta.unit, "calibrated": meta.calibrated, "notes": meta.notes}
    parts: dict[str, NDArray[Any]] = {
        _ARRAY: array,
        _AFFINE: contents.grid.affine,
        _META: np.array(json.dumps(told)),
        **({} if contents.labels is None else {_LABELS: np.array(labels_to_json(contents.labels))}),
    }
    how = zipfile.ZIP_STORED if contents.labels is None else zipfile.ZIP_DEFLATED  # label maps shrink to a hundredth
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", how, compresslevel=1) as archive:
        for key, value in parts.items():
            # A fixed date, so that the same contents make the same file.
            entry = zipfile.ZipInfo(f"{key}.npy")
            entry.compress_type = how
            with archive.open(entry, "w", force_zip64=True) as file:
                np.save(file, value, allow_pickle=False)


def _bare(array: NDArray[Any]) -> Contents:
    if array.ndim not in (2, 3, 4) or array.dtype.kind not in "biuf" or array.size == 0:
        raise FormatError(f"an image must be an array of 2 to 4 axes of real numbers, not {array.shape} {array.dtype}")
    channels_first = array if array.ndim == 4 else array[None]
    grid = Grid(channels_first.shape[1:], np.eye(channels_first.ndim))
    note = "A bare array has no place in space: spacing 1, axes in index order."
    return Contents(channels_first, grid, Meta(calibrated=False, notes=(note,)))


def _chosen(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> str:
    pictures = [key for key, info in members.items() if len(_parse(_member_head(archive, info))[1]) in (2, 3, 4)]
    if len(pictures) == 1:
        return pictures[0]
    for key in _KNOWN_KEYS:
        if key in pictures:
            return key
    raise FormatError(
        f"it holds {', '.join(sorted(members)) or 'no arrays'}; one array of 2 to 4 axes, or one named "
        f"{', '.join(_KNOWN_KEYS)}, can be read"
    )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    dtype, shape, is_fortran, start = _parse(_member_head(archive, info))
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size > info.file_size - start or info.file_size > info.compress_size * 1032 + 1032:
        raise FormatError(f"{info.filename} declares {size:,} bytes that it cannot hold")
    refuse_unholdable(size)
    array = np.empty(shape, dtype, order="F" if is_fortran else "C")
    flat = array.reshape(-1, order="A").view(np.uint8).data if size else memoryview(bytearray())
    with archive.open(info) as file:
        file.read(start)
        at = 0
        while at < size:
            piece = file.read(min(size - at, 1 << 22))
            if not piece:
                raise FormatError(f"{info.filename} ends after {at:,} of {size:,} bytes")
            flat[at : at + len(piece)] = piece
            at += len(piece)
    return native(array)


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST_HEADER)


def _member_head(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        return file.read(_LONGEST_HEADER)


def _parse(start: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    stream = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = header(stream)
    except Exception as error:  # NumPy reads the header as a Python literal, which can fail in a dozen ways
        raise FormatError("not a NumPy array, or its header is damaged") from error
    if dtype.hasobject:
        raise FormatError("it holds Python objects, which are never loaded: they can run code")
    return dtype, shape, is_fortran, stream.tell()


def _meta(texts: Mapping[str, str]) -> Meta:
    try:
        told = json.loads(texts[_META]) if _META in texts else {}
        modality = told.get("modality", "OT")
        return Meta(
            modality if modality in get_args(Modality) else "OT",
            str(told.get("unit", "")),
            bool(told.get("calibrated", True)),
            tuple(str(note) for note in told.get("notes", ())),
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise FormatError("its meta is damaged") from None
