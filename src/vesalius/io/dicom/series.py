"""List the image series of a folder, and read one of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vesalius.errors import FormatError
from vesalius.image import Meta, Modality, Volume
from vesalius.io.dicom.describe import describe, other_object
from vesalius.io.dicom.frame import Frame, Source
from vesalius.io.dicom.header import damage_is_a_format_error, read_header
from vesalius.io.dicom.quiet import quiet
from vesalius.io.dicom.stack import arrange, outline, split
from vesalius.io.dicom.suv import suv_factor
from vesalius.io.dicom.values import assemble, same_pixels

_MODALITIES: dict[str, Modality] = {
    "CT": "CT",
    "MR": "MR",
    "PT": "PT",
    "US": "US",
    "IVUS": "US",
    "CR": "XR",
    "DX": "XR",
    "MG": "XR",
    "XA": "XR",
    "RF": "XR",
    "PX": "XR",
    "IO": "XR",
    "RG": "XR",
}
_SHOWN = 20
_SHORTEST_PREFIX = 8


@dataclass(frozen=True)
class Series:
    """An image series of a folder, or the part of it that fits on one grid.

    Args:
        key: A short name that stays the same wherever the files lie: eight digits that stand for the series, followed
            by ``/1``, ``/2`` … when it holds stacks of several orientations or sizes (localizers), or several pictures.
        modality: Kind of image, as DICOM names it.
        description: What the operator wrote: for the user's own screen. It may hold anything, names included, and is
            therefore left out of ``repr``; never log it.
        number: Series number, if any.
        images: Number of images (frames).
        shape: In index order: columns, rows and, for images with a place in the patient, slices.
        spacing_mm: In the same order; between slices the median. 1 when the header has none.
    """

    key: str
    modality: str
    description: str = field(repr=False)
    number: int | None
    images: int
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]


@dataclass(frozen=True)
class Stack:
    """The frames of a `Series`, as they were found.

    Args:
        series: What the list says of it.
        uid: Of the DICOM series; never shown.
        frames: Each once.
        copies: Pairs of frames (kept, left aside) that claim to be the same object.
    """

    series: Series
    uid: str
    frames: tuple[Frame, ...]
    copies: tuple[tuple[Frame, Frame], ...]


def list_series(folder: str | Path) -> tuple[Series, ...]:
    """List the image series below a folder, or in one file.

    Every file is opened; only those that are plainly not DICOM, and DICOMDIRs, are passed over. Objects that are not
    images (segmentations, structure sets, reports …) are not listed.

    Args:
        folder: Searched with all its sub-folders.

    Returns:
        The series, ordered by number and key; empty when there are none.

    Raises:
        FormatError: The folder does not exist, or holds a damaged DICOM file.

    Example:
        >>> import tempfile
        >>> list_series(tempfile.mkdtemp())
        ()
    """
    with quiet:
        frames, _ = _scan(_files(Path(folder)))
        return tuple(found.series for found in _sort_out(frames))


def read_series(path: str | Path, *, series: str | None = None) -> Volume:
    """Read one image series.

    Slices are ordered by their position along the slice normal. A gantry tilt is kept exactly, as a sheared grid.
    Frames that share a position (echoes, time points, diffusion weightings) become channels, as do the frames of a
    cine and colours: time is not space. Pictures without a place in the patient (X-ray, ultrasound) are 2D.

    Args:
        path: A folder, any one file of a series of single images, or a multi-frame file.
        series: Which, if there are several: the key of `list_series`, a series number, a description, or a series
            UID or the beginning of one.

    Returns:
        The image, in the unit of its rescaled values; what had to be decided is in ``meta.notes``. Integers stay
        integers where rescaling leaves them whole, see `vesalius.io.dicom.values.assemble`.

    Raises:
        FormatError: There is no image, several series and none chosen, a file is damaged or not an image
            (segmentation, structure set …), copies of one object differ, or its images name several patients.
        GeometryError: Slices are missing, unevenly spaced or shifted, or cannot be told apart.
        MissingDependencyError: The pixels are compressed and their decoder is not installed.

    Example:
        >>> import tempfile
        >>> read_series(tempfile.mkdtemp())
        Traceback (most recent call last):
        vesalius.errors.FormatError: ...: holds no DICOM image
    """
    with quiet:
        stack, others = find_stack(Path(path), series)
        return _read(stack, _name(Path(path)), others)


def find_stack(path: Path, series: str | None) -> tuple[Stack, Counter[str]]:
    """The frames that `read_series` reads, without their pixels.

    Args:
        path: A folder, any one file of a series of single images, or a multi-frame file.
        series: Which, if there are several.

    Returns:
        The one stack, and the number of objects in the folder that are no images, by kind.

    Raises:
        FormatError: As `read_series`.
    """
    if path.is_file():
        found = _around(path)
        others: Counter[str] = Counter()
    else:
        frames, others = _scan(_files(path))
        found = _sort_out(frames)
    if not found:
        objects = ", ".join(f"{n} x {kind}" for kind, n in others.items())
        raise FormatError(f"{_name(path)}: holds no DICOM image" + (f", only {objects}" if objects else ""))
    chosen = _choose(found, series, _name(path))
    _refuse_mixed_patients(chosen, _name(path))
    return chosen, others


def _name(path: Path) -> str:
    return path.resolve().name  # "." has a name, too


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if not path.exists():
        raise FormatError(f"{_name(path)}: no such file or folder")
    return [path]


def _scan(files: Iterable[Path]) -> tuple[list[Frame], Counter[str]]:
    """Describe the image frames of the files, and count the other objects."""
    frames: list[Frame] = []
    others: Counter[str] = Counter()
    for file in files:
        header = read_header(file)
        if header is None:
            continue
        with damage_is_a_format_error(file):
            other = other_object(header)
            if other is None:
                frames.extend(describe(header))
            else:
                others[other[0]] += 1
    return frames, others


def _around(path: Path) -> list[Stack]:
    """What a single file belongs to: the stack of its folder that it is part of, or itself."""
    header = read_header(path)
    if header is None:
        raise FormatError(f"{path.name}: not a DICOM image file")
    with damage_is_a_format_error(path):
        other = other_object(header)
        if other is not None:
            raise FormatError(f"{path.name}: is {other[0]}, not an image; {other[1]}")
        own = describe(header)
    if len(own) > 1 or own[0].position is None:
        return _sort_out(list(own))
    frames, _ = _scan(sorted(file for file in path.parent.iterdir() if file.is_file()))
    found = _sort_out([frame for frame in frames if frame.source.series == own[0].source.series])
    mine = own[0].source.instance
    return [one for one in found if any(frame.source.instance == mine for frame in one.frames)]


def _sort_out(frames: Sequence[Frame]) -> list[Stack]:
    """Group frames into series, and series into stacks; set copies of the same object aside."""
    by_series: dict[str, dict[tuple[str, int], list[Frame]]] = {}
    for frame in frames:
        by_series.setdefault(frame.source.series, {}).setdefault((frame.source.instance, frame.index), []).append(frame)
    found: list[Stack] = []
    for uid, objects in by_series.items():
        stacks = split(copies[0] for copies in objects.values())
        for number, stack in enumerate(stacks, start=1):
            key = hashlib.sha256(uid.encode()).hexdigest()[:8] + (f"/{number}" if len(stacks) > 1 else "")
            source = stack[0].source
            shape, spacing = outline(stack)
            series = Series(key, source.modality, source.description, source.series_number, len(stack), shape, spacing)
            aside = tuple((frame, copy) for frame in stack for copy in objects[frame.source.instance, frame.index][1:])
            found.append(Stack(series, uid, stack, aside))
    return sorted(
        found, key=lambda one: (one.series.number is None, one.series.number or 0, _key_order(one.series.key))
    )


def _key_order(key: str) -> tuple[str, int]:
    name, _, part = key.partition("/")
    return name, int(part or 0)


def _choose(found: list[Stack], selector: str | None, name: str) -> Stack:
    if selector is None:
        matches = found
        problem = "holds several image series; choose one with series=KEY"
    else:
        matches = _matching(found, selector.strip())
        problem = f"the selector fits {len(matches)} image series; choose one by its key"
    if len(matches) == 1:
        return matches[0]
    if not matches:
        matches, problem = found, "no image series fits the selector; choose one by its key"
    lines = [
        f"{one.series.key} ({one.series.modality}, {one.series.images} images, "
        f"{' x '.join(str(n) for n in one.series.shape)})"
        for one in matches[:_SHOWN]
    ]
    more = f" and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
    raise FormatError(f"{name}: {problem}: {', '.join(lines)}{more}")


def _refuse_mixed_patients(chosen: Stack, name: str) -> None:
    frames = (*chosen.frames, *(copy for _, copy in chosen.copies))
    patients = {frame.source.patient for frame in frames if frame.source.patient}
    if len(patients) > 1:
        raise FormatError(
            f"{name}: the images of the series name {len(patients)} different patients: files of several patients are "
            "mixed, or were de-identified apart; put each patient's into a folder of its own"
        )


def _matching(found: list[Stack], selector: str) -> list[Stack]:
    """The stacks that a selector names, by the first kind of name that fits any."""
    tests = (
        lambda one: one.series.key == selector,
        lambda one: one.series.key.partition("/")[0] == selector,
        lambda one: one.uid == selector,
        lambda one: one.series.number is not None and str(one.series.number) == selector,
        lambda one: bool(selector) and one.series.description.casefold() == selector.casefold(),
        lambda one: len(selector) >= _SHORTEST_PREFIX and one.uid.startswith(selector),
    )
    return next((matches for test in tests if (matches := [one for one in found if test(one)])), [])


def _read(chosen: Stack, name: str, others: Counter[str]) -> Volume:
    for source in dict.fromkeys(frame.source for frame in (*chosen.frames, *(copy for _, copy in chosen.copies))):
        if source.refusal:
            raise FormatError(f"{source.path.name}: {source.refusal}")
    for kept, copy in chosen.copies:
        # Compared as pictures: a copy may be compressed in another way, or carry another study comment.
        if _essence(kept) != _essence(copy) or not same_pixels(kept, copy):
            raise FormatError(
                f"{kept.source.path.name} and {copy.source.path.name}: claim to be the same image (one SOP Instance "
                "UID), but differ; remove the one that is wrong"
            )
    arrangement = arrange(chosen.frames, name)
    array, notes = assemble(arrangement.frames)
    if arrangement.grid.ndim == 2:
        array = array[..., 0]
    sources = dict.fromkeys(frame.source for frame in chosen.frames)
    first = chosen.frames[0].source
    uptakes = [source.uptake for source in sources if source.uptake is not None]
    factor, reason = suv_factor(uptakes) if uptakes else (None, "")
    meta = Meta(
        modality=modality_of(first),
        unit=first.unit if len({source.unit for source in sources}) == 1 else "",
        calibrated=all(source.calibrated for source in sources),
        notes=(
            *arrangement.notes,
            *dict.fromkeys(note for source in sources for note in source.notes),
            *notes,
            *((f"{len(chosen.copies)} further copies of the same images are left aside",) if chosen.copies else ()),
            *(f"left aside in the folder: {n} x {kind}" for kind, n in others.items()),
            *((reason,) if reason else ()),
        ),
        suv_factor=factor,
    )
    return Volume(array, arrangement.grid, meta)


def _essence(frame: Frame) -> tuple[object, ...]:
    pixels = frame.source.pixels
    return (
        (pixels.rows, pixels.columns, pixels.frames, pixels.photometric == "MONOCHROME1"),
        (frame.position, frame.orientation, frame.spacing_mm, frame.slope, frame.intercept),
    )


def modality_of(source: Source) -> Modality:
    """The kind of image, in the words of `Meta`."""
    known = _MODALITIES.get(source.modality)
    return known or ("RGB" if source.pixels.channels == 3 else "OT")
