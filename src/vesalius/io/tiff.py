"""TIFF: pictures and stacks, with the spacing that ImageJ, OME or the resolution tags tell."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from vesalius.errors import FormatError, GeometryError
from vesalius.image import Grid, Meta
from vesalius.io.atomic import atomic_path
from vesalius.io.contents import Contents, fit_type
from vesalius.io.stream import native, refuse_unholdable

_TO_MM = {
    "nm": 1e-6, "nanometer": 1e-6, "um": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "mm": 1.0,
    "millimeter": 1.0, "cm": 10.0, "centimeter": 10.0, "m": 1000.0, "meter": 1000.0, "inch": 25.4, "in": 25.4,
}  # fmt: skip
_CENTIMETRE = 3
_DTYPES = {"uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"}
_PLANE, _DEPTH, _CHANNELS = "XY", "ZIQ", "CST"  # tifffile's letters; I and Q are pages that nobody named
_MOST_INFLATION = {
    1: 1,  # uncompressed
    5: 2731,  # LZW: a code of 12 bits for at most 4096 bytes. Source: TIFF 6.0, section 13
    8: 1032,  # deflate. Source: zlib.net/zlib_tech.html
    32946: 1032,
    32773: 64,  # PackBits: two bytes for 128. Source: TIFF 6.0, section 9
}
_MIN_IS_WHITE = 0
_PLAIN_PHOTOMETRICS = {1, 2, 6}  # black is zero, RGB, YCbCr


def read(path: Path) -> Contents:
    """Read a TIFF: one page is a picture, several are the slices of a volume.

    Samples, channels or time points become channels. Spacing comes from ImageJ's or OME's description, or from a
    resolution in centimetres; a resolution in inches is for printers and is not taken. Without spacing it is 1 and
    ``meta.calibrated`` is false.

    Raises:
        FormatError: The file is not a TIFF, cut off, damaged, or declares more than it can hold.

    Example:
        >>> import tempfile
        >>> held = Contents(np.zeros((1, 7, 5, 3), np.uint16), Grid.from_spacing((7, 5, 3), (0.5, 0.5, 2)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(held, Path(folder) / "a.tif")  # 3 pages
        ...     read(Path(folder) / "a.tif").grid.spacing_mm
        (0.5, 0.5, 2.0)
    """
    notes = []
    try:
        # Not `_multifile`: a description may name other files, which nobody asked to read.
        with tifffile.TiffFile(path, _multifile=False) as file:
            _refuse_broken_chain(path, file.byteorder, is_big=file.is_bigtiff)
            series = file.series[0]
            axes, page = series.axes, series.keyframe
            if len(file.series) > 1:
                notes.append(f"Of {len(file.series)} images in the file the first was read.")
            _refuse_lies(series, path.stat().st_size)
            spacing, has_depth = _spacing_mm(file)
            array = _decode(path, file, series).reshape(series.shape)
            is_colour, extra = page.photometric in (2, 6), len(page.extrasamples)
            is_inverted = page.photometric == _MIN_IS_WHITE and array.dtype.kind in "bu"
    except (FormatError, OSError, MemoryError):
        raise
    except Exception as error:  # tifffile raises a dozen types on damaged bytes
        raise FormatError(f"the TIFF is damaged or cut off ({type(error).__name__}): fetch it again") from error
    array = _ordered(array, axes, as_slice=has_depth)
    if is_inverted:
        array = ~array
        notes.append("Zero was white in the file; values were inverted.")
    if is_colour and extra and len(array) == 3 + extra:
        array = array[:3]
        notes.append("The alpha channel was dropped.")
    grid = Grid.from_spacing(array.shape[1:], (spacing or (1.0, 1.0, 1.0))[: array.ndim - 1])
    meta = Meta("RGB" if is_colour and len(array) == 3 else "OT", calibrated=spacing is not None, notes=tuple(notes))
    return Contents(native(array.view(np.uint8) if array.dtype == bool else array), grid, meta)


def write(contents: Contents, path: Path) -> None:
    """Write an OME-TIFF, deflated, one page a slice; see `vesalius.io.write`.

    Raises:
        FormatError: The format cannot hold the values.
        GeometryError: The grid has a direction or an origin, which the format cannot hold.
    """
    grid = contents.grid
    if not np.array_equal(grid.affine, np.diag([*grid.spacing_mm, 1.0])):
        raise GeometryError(
            "TIFF cannot hold origin or direction; write .nii.gz, .nrrd or .mha, "
            "or drop the place on purpose by giving it Grid.from_spacing(shape, spacing_mm)"
        )
    array = fit_type(contents.array, _DTYPES, "TIFF")
    is_colour = contents.meta.modality == "RGB" and array.dtype == np.uint8 and len(array) == 3
    pages = array.T if is_colour else np.moveaxis(array.T, -1, 0)  # ([k,] j, i, c) or (c, [k,] j, i)
    unit = "mm" if contents.meta.calibrated else "pixel"
    sizes: dict[str, Any] = {}
    for axis, spacing in zip("XYZ", grid.spacing_mm, strict=False):
        sizes |= {f"PhysicalSize{axis}": spacing, f"PhysicalSize{axis}Unit": unit}
    depth = "Z" * (grid.ndim == 3)
    per_cm = (10 / grid.spacing_mm[0], 10 / grid.spacing_mm[1])
    has_tags = contents.meta.calibrated and all(1e-6 < each < 2**31 for each in per_cm)  # fractions of 32 bits
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            np.ascontiguousarray(pages),
            ome=True,
            bigtiff=array.nbytes > 2**31,
            photometric="rgb" if is_colour else "minisblack",
            compression="zlib",
            compressionargs={"level": 1},
            metadata={"axes": depth + "YXS" if is_colour else "C" + depth + "YX", **sizes},
            # The resolution tags say it again for readers that know no OME.
            resolution=per_cm if has_tags else None,
            resolutionunit=_CENTIMETRE if has_tags else None,
        )


def _refuse_broken_chain(path: Path, order: str, *, is_big: bool) -> None:
    """Walk from page to page: tifffile reads what is left of a file that was cut off, and does not say so."""
    pointer, counter, entry = (order + "Q", order + "Q", 20) if is_big else (order + "I", order + "H", 12)
    seen = set()
    with path.open("rb") as file:
        file.seek(8 if is_big else 4)
        while at := struct.unpack(pointer, file.read(struct.calcsize(pointer)))[0]:
            if at in seen:
                raise FormatError("its pages lead in a circle: the file is damaged")
            seen.add(at)
            file.seek(at)
            (entries,) = struct.unpack(counter, file.read(struct.calcsize(counter)))
            file.seek(at + struct.calcsize(counter) + entries * entry)


def _refuse_lies(series: tifffile.TiffPageSeries, file_size: int) -> None:
    most = _MOST_INFLATION.get(int(series.keyframe.compression))
    if most is not None and series.size * series.keyframe.bitspersample // 8 > file_size * most:
        raise FormatError(
            f"the header declares {series.nbytes:,} bytes of voxels, more than {file_size:,} bytes can hold; "
            "it is cut off or its header is wrong: fetch it again"
        )
    refuse_unholdable(series.nbytes)


def _decode(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> NDArray[Any]:
    page = series.keyframe
    try:
        return np.asarray(series.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    # LZW, JPEG and fax pages need decoders that tifffile does not bring; Pillow has them for plain layouts.
    with path.open("rb") as stream, TiffImagePlugin.TiffImageFile(stream) as picture:
        if page.photometric in _PLAIN_PHOTOMETRICS and page.planarconfig == 1 and len(series) == len(file.pages):
            pages = []
            for at in range(len(series)):
                picture.seek(at)
                pages.append(np.array(picture) if picture.mode != "1" else np.array(picture.convert("L")) > 0)
            if pages[0].dtype.newbyteorder("=") == series.dtype.newbyteorder("="):
                return np.stack(pages)
    raise FormatError(f"its compression ({page.compression!r}) cannot be read; write it anew with deflate")


def _ordered(array: NDArray[Any], axes: str, *, as_slice: bool) -> NDArray[Any]:
    """From the file's axes to (c, i, j[, k])."""
    depth = [axis for axis in axes if axis in _DEPTH]
    channels = [axis for axis in axes if axis in _CHANNELS]
    if len(depth) > 1 or len(channels) > 1 or set(axes) - {*_PLANE, *depth, *channels}:
        raise FormatError(f"its axes are {axes}; X and Y, one of slices and one of channels can be read")
    ordered = array.transpose([axes.index(axis) for axis in (*channels, *_PLANE, *depth)])
    ordered = ordered if channels else ordered[None]
    return ordered[..., None] if as_slice and not depth else ordered


def _spacing_mm(file: tifffile.TiffFile) -> tuple[tuple[float, float, float] | None, bool]:
    """The spacing, if any, and whether the file says that even a single page is a slice of a volume."""
    if file.is_ome and file.ome_metadata:
        told = dict(re.findall(r'\b(PhysicalSize[XYZ](?:Unit)?)="([^"]*)"', file.ome_metadata))
        scales = [_TO_MM.get(_plain(told.get(f"PhysicalSize{axis}Unit", "um"))) for axis in "XYZ"]
        sizes = [float(told.get(f"PhysicalSize{axis}", "1")) for axis in "XYZ"]
        in_depth = "PhysicalSizeZ" in told
        if "PhysicalSizeX" not in told or "PhysicalSizeY" not in told or scales[0] is None or scales[1] is None:
            return None, in_depth
        x, y, z = (size * (scale or 1.0) for size, scale in zip(sizes, scales, strict=True))
        return _sound((x, y, z if in_depth else x)), in_depth
    tags = file.pages.first.tags
    per_unit = [tags[name].value if name in tags else (0, 1) for name in ("XResolution", "YResolution")]
    if not all(top > 0 and bottom > 0 for top, bottom in per_unit):
        return None, False
    x, y = (bottom / top for top, bottom in per_unit)
    if file.is_imagej and file.imagej_metadata:
        scale = _TO_MM.get(_plain(str(file.imagej_metadata.get("unit", ""))))
        depth = float(file.imagej_metadata.get("spacing", x))
        return (None if scale is None else _sound((x * scale, y * scale, depth * scale))), False
    unit = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else None
    return (_sound((x * 10, y * 10, 1.0)) if unit == _CENTIMETRE else None), False


def _plain(unit: str) -> str:
    return re.sub(r"\\u00b5|\\xb5|&#181;|[\u00b5\u03bc]", "u", unit.strip().lower())


def _sound(spacing: tuple[float, float, float]) -> tuple[float, float, float] | None:
    return spacing if all(np.isfinite(s) and s > 0 for s in spacing) else None
