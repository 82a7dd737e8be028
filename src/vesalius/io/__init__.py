"""Read and write images and label maps, one file a format."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, FormatError, GeometryError, unknown_name
from vesalius.image import Grid, LabelMap, Labels, Volume, count_values
from vesalius.io.contents import Contents
from vesalius.io.lending import Lendable

if TYPE_CHECKING:
    from vesalius.io.dicom.origin import Origin

__all__ = ["FORMATS", "PICTURES", "format_of", "holds_labels", "is_dicom", "read", "read_labels", "write"]

FORMATS = {
    ".nii": "vesalius.io.nifti",
    ".nii.gz": "vesalius.io.nifti",
    ".hdr": "vesalius.io.nifti",
    ".img": "vesalius.io.nifti",
    ".nrrd": "vesalius.io.nrrd",
    ".nhdr": "vesalius.io.nrrd",
    ".mha": "vesalius.io.metaimage",
    ".mhd": "vesalius.io.metaimage",
    ".png": "vesalius.io.raster",
    ".jpg": "vesalius.io.raster",
    ".jpeg": "vesalius.io.raster",
    ".bmp": "vesalius.io.raster",
    ".gif": "vesalius.io.raster",
    ".ppm": "vesalius.io.raster",
    ".pgm": "vesalius.io.raster",
    ".pbm": "vesalius.io.raster",
    ".tif": "vesalius.io.tiff",
    ".tiff": "vesalius.io.tiff",
    ".npy": "vesalius.io.npy",
    ".npz": "vesalius.io.npy",
    ".dcm": "vesalius.io.dicom",
}
"""Suffix to the module that reads and writes it, imported when it is first needed."""

PICTURES = tuple(suffix for suffix, module in FORMATS.items() if module.endswith((".raster", ".tiff")))
"""The suffixes of pictures, and of TIFF, which may also hold a volume."""

_INTEGRAL = 1e-3  # label files written by interpolating tools hold 0.99999997


def read(
    path: str | os.PathLike[str] | Lendable, *, series: str | None = None, replace_nan: float | None = None
) -> Volume:
    """Read an image: NIfTI, NRRD, MetaImage, DICOM, PNG, JPEG, BMP, GIF, Netpbm, TIFF or NumPy.

    The format follows from the suffix; a folder, a ``.dcm`` file and any file with DICOM's mark are DICOM. Values keep
    the type they are stored in where that loses nothing. What the reader had to decide stands in ``meta.notes``. Of a
    DICOM SEG the values are the labels', or the shares of each segment when it is fractional.

    Args:
        path: A file, a folder that holds a DICOM series, or a member of a vault (`vesalius.privacy.vault.member`).
        series: Which DICOM series, when the folder holds several; see `vesalius.io.dicom.list_series`.
        replace_nan: The value to put where the file holds NaN or infinity. Left out, such a file is an error.

    Returns:
        The image, channels first, on its grid in LPS.

    Raises:
        FormatError: The file is missing, cut off, damaged, of an unknown format, or not what its header says.
        GeometryError: Its affine is singular or not finite.
        DataError: It holds NaN or infinity and ``replace_nan`` was not given.

    Example:
        >>> import tempfile
        >>> from vesalius.image import Grid
        >>> image = Volume(np.zeros((1, 4, 5, 6), np.int16), Grid.from_spacing((4, 5, 6), (1, 1, 3)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(image, Path(folder) / "ct.nii.gz")
        ...     read(Path(folder) / "ct.nii.gz").grid.spacing_mm
        (1.0, 1.0, 3.0)
    """
    if isinstance(path, Lendable):
        with path.lent() as plain:
            return read(plain, series=series, replace_nan=replace_nan)
    where = Path(path)
    module = _module_for(where)
    if module == "vesalius.io.dicom" and (kind := _kind_of(where)) == "image":
        return _read_dicom(where, series)
    if series is not None:
        told = (
            f"image series; this is a {kind}" if module == "vesalius.io.dicom" else "DICOM; this format holds one image"
        )
        raise FormatError(f"{where.name}: series={series!r} is for {told}")
    contents = _read_object(where, kind) if module == "vesalius.io.dicom" else _read_contents(where, module)
    try:
        return Volume(contents.array, contents.grid, contents.meta)
    except DataError:  # NaN or infinity: `Volume` has looked at every voxel, so that a sound file is looked at once
        return _with_finite(where, contents, replace_nan)


def read_labels(
    path: str | os.PathLike[str] | Lendable,
    labels: Labels | None = None,
    *,
    binarise_above: float | None = None,
    grid: Grid | None = None,
) -> LabelMap:
    """Read a label map from any format that `read` reads, and from contours.

    Contours are those of a DICOM RT structure set, or the readings of LIDC-IDRI (XML beside its series), of which the
    consensus of half of the readers is taken.

    Whole numbers stored as floating point are taken (to 1e-3), palette pictures mean their palette indices, and grey
    pictures stored as colour (all channels equal) mean the grey.

    Args:
        path: The file, or a member of a vault.
        labels: What the values mean. Left out, the names in the file are used, or else ``"label 1"`` and so on for
            the values found.
        binarise_above: For masks stored as grey pictures: values above it are 1, all others 0.
        grid: Of an RT structure set: that of the series it was drawn on, ``read(series).grid``.

    Returns:
        The label map, in the smallest unsigned type. Segments of a DICOM SEG that overlap are kept all, see
        `vesalius.io.dicom.segments.read_seg`.

    Raises:
        FormatError: As `read`.
        DataError: The values are not whole numbers of 0 to 65,535, are not declared in ``labels``, or the file
            holds several channels that differ.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(Path(folder) / "mask.npy", np.array([[0.0, 2.0], [2.0, 0.0]]))
        ...     read_labels(Path(folder) / "mask.npy").labels.names
        ('label 2',)
    """
    if isinstance(path, Lendable):
        with path.lent() as plain:
            return read_labels(plain, labels, binarise_above=binarise_above, grid=grid)
    where = Path(path)
    if where.suffix.lower() == ".xml":
        return _read_lidc(where, labels)
    module = _module_for(where)
    if module == "vesalius.io.dicom":
        kind = _kind_of(where)
        if kind == "structure set" and grid is not None:
            return _read_structures(where, grid, labels)
        if kind == "image":
            image = _read_dicom(where, None)
            contents = Contents(image.array, image.grid, image.meta)
        elif kind == "fractions" and binarise_above is None:
            found = importlib.import_module("vesalius.io.dicom.segments").read_seg(where)
            contents = Contents(found.array[None], found.grid, labels=found.labels)
        else:
            contents = _read_object(where, kind)
    else:
        contents = _read_contents(where, module)
    try:
        stored = contents.array if contents.indices is None else contents.indices[None]
        if any(not np.array_equal(stored[0], other) for other in stored[1:]):
            raise DataError(f"a label map has one channel; this file holds {len(stored)} that differ")
        values = _as_labels(stored[0]) if binarise_above is None else _binarised(stored[0], binarise_above)
        if labels is None:
            named = contents.labels if binarise_above is None else None
            labels = named or Labels.of(value for value in count_values(values) if value)
        return LabelMap(values, contents.grid, labels)
    except (DataError, GeometryError) as error:
        raise type(error)(f"{where.name}: {error}") from None


def write(x: Volume | LabelMap, path: str | os.PathLike[str], *, origin: Origin | None = None) -> None:
    """Write an image or a label map, without loss, whole or not at all.

    Label maps are stored in the smallest unsigned type, with their names where the format can hold them (NIfTI, NRRD,
    ``.npz``, DICOM). As ``.dcm`` a label map becomes a binary SEG and an image a parametric map, in the study of the
    series that they were made from; `vesalius.io.dicom` has functions for other objects.

    Args:
        x: What to write.
        path: The suffix says the format: ``.nii``, ``.nii.gz``, ``.hdr`` (with ``.img``), ``.nrrd``, ``.nhdr`` (with
            ``.nhdr.raw``), ``.mha``, ``.mhd`` (with ``.raw``), ``.png``, ``.jpg``, ``.bmp``, ``.tif``, ``.npy``,
            ``.npz`` or ``.dcm``.
        origin: For ``.dcm``: the series that ``x`` was made from, of `vesalius.io.dicom.read_origin`.

    Raises:
        FormatError: The format is unknown, or cannot hold these values or this shape without loss.
        GeometryError: The format cannot hold this grid.
        VesaliusError: The system refused to write: disk full, read-only.

    Example:
        >>> import tempfile
        >>> from vesalius.image import Grid
        >>> reference = LabelMap(np.eye(3, dtype=int), Grid((3, 3), np.eye(3)), Labels.of({"vessel": 1}))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(reference, Path(folder) / "reference.png")
        ...     read(Path(folder) / "reference.png").array.dtype
        dtype('uint8')
    """
    where = Path(path)
    suffix = format_of(where)
    if suffix is None:
        raise FormatError(f"cannot write {where.name}: {unknown_name('suffix', where.suffix.lower(), FORMATS)}")
    if FORMATS[suffix] == "vesalius.io.dicom":
        _write_dicom(x, where, origin)
        return
    if isinstance(x, LabelMap):
        contents = Contents(_smallest(x.array)[None], x.grid, labels=x.labels)
    else:
        contents = Contents(x.array, x.grid, x.meta)
    try:
        importlib.import_module(FORMATS[suffix]).write(contents, where)
    except (FormatError, GeometryError) as error:
        raise type(error)(f"cannot write {where.name}: {error}") from error


def format_of(path: str | os.PathLike[str]) -> str | None:
    """The key of `FORMATS` that a file's name ends in, whatever its case; ``None`` for other names.

    Args:
        path: The file, which need not exist.

    Example:
        >>> format_of("Case.01.NII.GZ"), format_of("notes.txt")
        ('.nii.gz', None)
    """
    name = Path(path).name.lower()
    return max((suffix for suffix in FORMATS if name.endswith(suffix)), key=len, default=None)


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether `read` takes a file or a folder for DICOM.

    Args:
        path: What is there.

    Raises:
        FormatError: It cannot be read, or is of no known format.

    Example:
        >>> import tempfile
        >>> is_dicom(tempfile.mkdtemp())
        True
    """
    return _module_for(Path(path)) == "vesalius.io.dicom"


def holds_labels(path: str | os.PathLike[str]) -> bool:
    """Whether a file itself says that it shows labels: a DICOM segmentation or structure set, or names for its values.

    Args:
        path: What is there; a file is read.

    Raises:
        FormatError: It cannot be read, or is of no known format.
    """
    where = Path(path)
    module = _module_for(where)
    if module == "vesalius.io.dicom":
        return _kind_of(where) in ("segmentation", "structure set")
    return _read_contents(where, module).labels is not None


def _module_for(path: Path) -> str:
    if path.is_dir():
        return "vesalius.io.dicom"
    if path.exists() and not path.is_file():  # to open a named pipe would wait for ever
        raise FormatError(f"{path.name}: neither a file nor a folder; write it to a file first")
    try:
        with path.open("rb") as file:
            is_dicom = file.read(132)[128:] == b"DICM"
    except OSError as error:
        raise FormatError(f"{path.name}: the file cannot be read: {error.strerror}") from error
    suffix = format_of(path)
    if suffix is not None and not is_dicom:
        return FORMATS[suffix]
    if is_dicom:
        return "vesalius.io.dicom"
    raise FormatError(f"{path.name}: {unknown_name('suffix', path.suffix.lower(), FORMATS)}")


def _read_dicom(path: Path, series: str | None) -> Volume:
    try:
        volume = importlib.import_module("vesalius.io.dicom").read_series(path, series=series)
    except MemoryError:
        raise FormatError(f"{path.name}: its voxels do not fit in memory; use a larger machine") from None
    assert isinstance(volume, Volume)
    return volume


def _kind_of(path: Path) -> Any:
    return importlib.import_module("vesalius.io.dicom.objects").kind_of(path)


def _read_object(path: Path, kind: Any) -> Contents:
    try:
        contents = importlib.import_module("vesalius.io.dicom.objects").read_object(path, kind)
    except MemoryError:
        raise FormatError(f"{path.name}: its voxels do not fit in memory; use a larger machine") from None
    assert isinstance(contents, Contents)
    return contents


def _read_structures(path: Path, grid: Grid, labels: Labels | None) -> LabelMap:
    found = importlib.import_module("vesalius.io.dicom.contours").read_rtstruct(path, grid)
    assert isinstance(found, LabelMap)
    return found if labels is None else LabelMap(found.array, found.grid, labels)


def _read_lidc(path: Path, labels: Labels | None) -> LabelMap:
    found = importlib.import_module("vesalius.io.lidc").read(path)
    assert isinstance(found, LabelMap)
    return found if labels is None else LabelMap(found.array, found.grid, labels)


def _write_dicom(x: Volume | LabelMap, path: Path, origin: Origin | None) -> None:
    if origin is None:
        raise FormatError(
            f"cannot write {path.name}: DICOM belongs to a patient and a study: name the series that it was made from, "
            "with origin=vesalius.io.dicom.read_origin(series) or on the command line with --source"
        )
    try:
        if isinstance(x, LabelMap):
            importlib.import_module("vesalius.io.dicom.segmentation").write_seg(x, path, origin)
        else:
            importlib.import_module("vesalius.io.dicom.parametric").write_parametric_map(x, path, origin)
    except (FormatError, GeometryError, DataError) as error:
        raise type(error)(f"cannot write {path.name}: {error}") from error


def _read_contents(path: Path, module: str) -> Contents:
    try:
        contents = importlib.import_module(module).read(path)
    except (FormatError, GeometryError, DataError) as error:
        raise type(error)(f"{path.name}: {error}") from error
    except MemoryError:
        raise FormatError(f"{path.name}: its voxels do not fit in memory; use a larger machine") from None
    except OSError as error:
        raise FormatError(f"{path.name}: the file cannot be read: {error.strerror or error}") from error
    assert isinstance(contents, Contents)
    return contents


def _with_finite(path: Path, contents: Contents, replacement: float | None) -> Volume:
    array = contents.array
    bad = ~np.isfinite(array)
    count = int(bad.sum())
    if replacement is None or not np.isfinite(replacement):
        raise DataError(
            f"{path.name}: {count:,} of {array.size:,} voxels are NaN or infinite; "
            "pass replace_nan=0 (or another finite value) to read the file with these replaced"
        )
    note = f"{count:,} voxels that were NaN or infinite were replaced by {replacement:g}."
    meta = replace(contents.meta, notes=(*contents.meta.notes, note))
    return Volume(np.where(bad, array.dtype.type(replacement), array), contents.grid, meta)


def _binarised(array: NDArray[Any], threshold: float) -> NDArray[Any]:
    if array.dtype.kind == "f" and (unknown := int(np.isnan(array).sum())):
        raise DataError(f"{unknown:,} of {array.size:,} voxels are NaN: neither above {threshold:g} nor not")
    return (array > threshold).view(np.uint8)


def _as_labels(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = np.rint(array)
            # Written so that NaN fails it too.
            wrong = int(array.size - np.count_nonzero(np.abs(array - whole) <= _INTEGRAL))
        if wrong:
            raise DataError(
                f"{wrong:,} of {array.size:,} voxels are not whole numbers, as labels must be; "
                "is it an image, or a mask for which binarise_above is meant?"
            )
        array = whole
    return _smallest(array)


def _smallest(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    lowest, highest = array.min(), array.max()
    if lowest < 0 or highest > np.iinfo(np.uint16).max:
        raise DataError(f"labels must be 0 to 65,535; the values found are {lowest:g} to {highest:g}")
    return array.astype(np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16, copy=False)
