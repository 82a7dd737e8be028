"""Image files that are not DICOM, and what lies beside them, without what may say who the patient is."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import tifffile

from vesalius.errors import DataError, FormatError, GeometryError, PrivacyError
from vesalius.image import Meta
from vesalius.io import format_of, metaimage, npy, nrrd, raster, tiff
from vesalius.io.atomic import write_bytes, write_text
from vesalius.io.contents import Contents
from vesalius.io.stream import read_start
from vesalius.privacy import nifti, pictures, sidecar
from vesalius.privacy.findings import Findings, joined

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_NAMES_DATA = re.compile(rb"^(?:ElementDataFile\s*=|data ?file:)[ \t]*([^\r\n]*\S)", re.MULTILINE | re.IGNORECASE)
_LONGEST_HEADER = 1 << 20
_LONGEST_TEXT = 16 << 20
_PALETTE = 3
_UNITS = ("HU", "g/ml", "BQML", "GML", "CNTS", "SUV")

Cleaner = Callable[[Path, Path], Findings]


def clean_file(path: str | os.PathLike[str], out: str | os.PathLike[str], *, name: str) -> Findings:
    """Write a copy of a file without what may say who the patient is: free text, extensions, metadata, its own name.

    Every format is written anew from what is known to be harmless, so that what nobody thought of is dropped rather
    than kept: NIfTI, NRRD, MetaImage, TIFF, PNG, JPEG, BMP, ``.npy``, ``.npz``, JSON sidecars, ``.bval`` and ``.bvec``.
    Voxels keep their values and their place. What is burnt into the pixels is another matter
    (`vesalius.privacy.text`), and so are faces (`vesalius.privacy.deface`). Names of labels are free text and go; the
    values stay.

    Args:
        path: The file; of a pair such as ``.hdr`` and ``.img`` the one that holds the header. `voxel_files` names what
            it takes along.
        out: The folder to write to, which must exist.
        name: What the copy is called, without a suffix, for example a pseudonym: letters, digits, ``-`` and ``_``.

    Returns:
        What was removed. With a doubt in it nothing has been written: the file is for a person to look at.

    Raises:
        PrivacyError: ``name`` is not such a name.
        VesaliusError: The system refused to write.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "out").mkdir()
        ...     _ = (Path(folder) / "Jane Doe.json").write_text('{"EchoTime": 0.03, "PatientName": "Jane Doe"}')
        ...     found = clean_file(Path(folder) / "Jane Doe.json", Path(folder) / "out", name="a41c")
        ...     [made.name for made in (Path(folder) / "out").iterdir()], found.actions
        (['a41c.json'], ('removed 1 of 2 entries of the sidecar',))
    """
    where, folder = Path(path), Path(out)
    if not _NAME.fullmatch(name):
        raise PrivacyError("the name of a cleaned file must be letters, digits, '-' and '_', and at most 128 of them")
    suffix = suffix_of(where)
    if suffix is None or suffix not in CLEANERS:
        return Findings(doubts=("it is of a kind that cannot be cleaned",))
    try:
        if _is_dicom(where):
            return Findings(doubts=("it is DICOM under the name of another format",))
        return CLEANERS[suffix](where, folder / f"{name}{suffix}")
    except (FormatError, GeometryError, DataError):
        # What the readers say may repeat words of the header, which nobody has cleaned yet.
        return Findings(doubts=("it cannot be read: it is damaged, or not what its name says",))
    except MemoryError:
        return Findings(doubts=("it does not fit in memory",))


def suffix_of(path: str | os.PathLike[str]) -> str | None:
    """The suffix by which a file is cleaned, in small letters; ``None`` for kinds that cannot be.

    Example:
        >>> suffix_of("sub-01_T1w.NII.GZ"), suffix_of("report.pdf")
        ('.nii.gz', None)
    """
    known = format_of(path) or Path(path).suffix.lower()
    return known if known in CLEANERS else None


def voxel_files(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The files that belong to a header and are cleaned with it, those that are there.

    Args:
        path: Any file.

    Returns:
        The ``.img`` of a ``.hdr``, what a ``.mhd`` or ``.nhdr`` names in its own folder or below; empty for files that
        stand alone.

    Example:
        >>> voxel_files("scan.nii.gz")
        ()
    """
    where = Path(path)
    suffix = where.suffix.lower()
    if suffix == ".hdr":
        beside = [where.with_suffix(end) for end in (".img", ".IMG")]
    elif suffix in (".mhd", ".nhdr", ".mha", ".nrrd"):
        found = _NAMES_DATA.search(read_start(where, _LONGEST_HEADER))
        named = Path("LOCAL" if found is None else os.fsdecode(found[1]))
        if named.is_absolute() or ".." in named.parts or named.name.upper() == "LOCAL":
            return ()
        beside = [where.parent / named]
    else:
        return ()
    return tuple(each for each in beside if each.is_file())


def _is_dicom(path: Path) -> bool:
    try:
        return read_start(path, 132)[128:] == b"DICM"
    except OSError:
        raise FormatError("the file cannot be read") from None


def _clean_nrrd(path: Path, target: Path) -> Findings:
    return _rewritten(path, target, nrrd, "wrote the NRRD header anew, without comments, names and further keys")


def _clean_metaimage(path: Path, target: Path) -> Findings:
    return _rewritten(path, target, metaimage, "wrote the MetaImage header anew, without further fields")


def _clean_npy(path: Path, target: Path) -> Findings:
    return _rewritten(path, target, npy, "wrote the NumPy file anew, without further arrays")


def _clean_tiff(path: Path, target: Path) -> Findings:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile's and Pillow's words about odd tags, which may repeat them
        contents = tiff.read(path)
        with tifffile.TiffFile(path, _multifile=False) as file:
            several = len(file.series) > 1 or any(page.subifds for page in file.pages)
            has_palette = file.pages.first.photometric == _PALETTE
    if several:
        # Slides carry a photograph of their label, which has the patient's name on it.
        return Findings(doubts=("it is a TIFF that holds several images, of which only one would be kept",))
    if has_palette:
        return Findings(doubts=("it is a TIFF with a palette, which would be lost",))
    return _written(contents, target, tiff, "wrote the TIFF anew, without tags and descriptions")


def _clean_bmp(path: Path, target: Path) -> Findings:
    return _written(raster.read(path), target, raster, "wrote the BMP anew")


def _clean_picture(path: Path, target: Path) -> Findings:
    raster.read(path)  # a sound picture that is no bomb
    data = path.read_bytes()
    cleaned, actions = (pictures.strip_png if data.startswith(b"\x89PNG") else pictures.strip_jpeg)(data)
    write_bytes(target, cleaned)
    return Findings(actions)


def _clean_json(path: Path, target: Path) -> Findings:
    text, found = sidecar.strip_json(_text(path))
    if found.sure:
        write_text(target, text)
    return found


def _clean_gradients(path: Path, target: Path) -> Findings:
    text = _text(path)
    cleaned = sidecar.strip_gradients(text)
    write_text(target, cleaned)
    return Findings()


def _text(path: Path) -> str:
    data = read_start(path, _LONGEST_TEXT + 1)
    if len(data) > _LONGEST_TEXT:
        raise FormatError("it is too long")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError("it is not UTF-8") from None


def _rewritten(path: Path, target: Path, module: Any, action: str) -> Findings:
    return _written(module.read(path), target, module, action)


def _written(contents: Contents, target: Path, module: Any, action: str) -> Findings:
    dropped = [Findings(("dropped the alpha channel",))] if any("alpha" in note for note in contents.meta.notes) else []
    # Of what a file says of itself only what comes from a list; notes and units of a .npz are free text.
    meta = Meta(contents.meta.modality, contents.meta.unit if contents.meta.unit in _UNITS else "")
    module.write(Contents(contents.array, contents.grid, replace(meta, calibrated=contents.meta.calibrated)), target)
    return joined([Findings((action,)), *dropped])


CLEANERS: dict[str, Cleaner] = {
    ".nii": nifti.clean,
    ".nii.gz": nifti.clean,
    ".hdr": nifti.clean,
    ".img": nifti.clean,
    ".nrrd": _clean_nrrd,
    ".nhdr": _clean_nrrd,
    ".mha": _clean_metaimage,
    ".mhd": _clean_metaimage,
    ".npy": _clean_npy,
    ".npz": _clean_npy,
    ".tif": _clean_tiff,
    ".tiff": _clean_tiff,
    ".bmp": _clean_bmp,
    ".png": _clean_picture,
    ".jpg": _clean_picture,
    ".jpeg": _clean_picture,
    ".json": _clean_json,
    ".bval": _clean_gradients,
    ".bvec": _clean_gradients,
}
"""Suffix to the function that cleans such a file."""
