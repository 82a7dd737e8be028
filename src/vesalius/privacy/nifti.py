"""NIfTI without what may say who the patient is: numbers with a meaning stay, text and extensions go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.io.atomic import atomic_path
from vesalius.io.nifti_header import LONGEST_HEADER, RGB, RGBA, Header, parse
from vesalius.io.stream import encode, encoding_of, read_array, read_start
from vesalius.privacy.findings import Findings

_KEPT = (
    *("sizeof_hdr", "magic", "dim_info", "dim", "intent_code", "datatype", "bitpix", "slice_start", "slice_end"),
    *("slice_code", "slice_duration", "pixdim", "scl_slope", "scl_inter", "xyzt_units", "cal_max", "cal_min"),
    *("qform_code", "sform_code"),
)
_TEXT = ("descrip", "aux_file", "intent_name", "data_type", "db_name")
_PARAMETERS = {*range(2, 25), 1004, 1005}
"""Intents whose parameters mean something: the statistical distributions, and the sizes of matrices.

Source: nifti1.h of 2007, "Interpretation of voxel data"."""
_LONGEST_EXTENSIONS = 1 << 30


def clean(path: Path, target: Path) -> Findings:
    """Write a NIfTI file anew: its voxels bit by bit, of its header the numbers, and nothing else.

    The header is built from a list of fields that are kept (sizes, spacings, place, scaling, units, slice timing), so
    that a field nobody thought of is dropped rather than kept. Extensions go, the names of labels that Vesalius leaves
    there too; so do the bytes between the header and the voxels and those behind the voxels, and the name that gzip
    notes of the file it packed.

    Args:
        path: The file; of a pair the ``.hdr`` or the ``.img``.
        target: Where it goes; of a pair likewise, with the same suffix.

    Returns:
        What was removed.

    Raises:
        FormatError: It is not NIfTI, is damaged, or its voxels cannot be read.

    Example:
        >>> import tempfile
        >>> from vesalius.image import Grid, Volume
        >>> from vesalius.io import write
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     scan = Path(folder) / "scan.nii"
        ...     write(Volume(np.zeros((1, 2, 2, 2), np.uint8), Grid.from_spacing((2, 2, 2), (1, 1, 1))), scan)
        ...     named = bytearray(scan.read_bytes())
        ...     named[148:156] = b"Jane Doe"
        ...     _ = scan.write_bytes(named)
        ...     print(clean(scan, Path(folder) / "clean.nii").actions)
        ...     b"Jane" in (Path(folder) / "clean.nii").read_bytes()
        ('emptied the field descrip of the NIfTI header',)
        False
    """
    suffix = path.suffix.lower()
    header_path = path.with_suffix(_like(path, ".hdr")) if suffix == ".img" else path
    encoding = encoding_of(header_path)
    header = parse(read_start(header_path, LONGEST_HEADER, encoding=encoding))
    image_path = header_path.with_suffix(_like(path, ".img")) if header.detached else header_path
    count = int(np.prod([int(n) for n in header.fields["dim"][1 : int(header.fields["dim"][0]) + 1]]))
    samples = {RGB: 3, RGBA: 4}.get(int(header.fields["datatype"]), 1)
    voxels = read_array(
        image_path, header.dtype, count * samples, offset=header.offset, encoding=encoding_of(image_path)
    )
    fields, actions = _cleaned(header)
    actions += _beside(header, header_path, image_path, voxels.nbytes)
    head = fields.tobytes() + bytes(4)
    if not header.detached:
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            file.writelines(encode([head, voxels], "gzip" if target.name.lower().endswith(".gz") else "raw"))
        return Findings(tuple(actions))
    pair = target.with_suffix(".hdr"), target.with_suffix(".img")
    with atomic_path(pair[0]) as temporary_header, atomic_path(pair[1]) as temporary_image:
        temporary_header.write_bytes(head)
        with temporary_image.open("wb") as file:
            file.writelines(encode([voxels], "raw"))
    return Findings(tuple(actions))


def change_voxels(
    path: Path, change: Callable[[NDArray[Any], tuple[float, ...], bool, bool], NDArray[Any] | None]
) -> None:
    """Replace the stored voxels of a file that `clean` has written; its header keeps every bit.

    Args:
        path: The file; of a pair the ``.hdr``.
        change: Gets the voxels as they are stored, ``(c, i, j, k)``, the spacing, whether the channels are colours, and
            whether the greatest value shows black; gives the new ones, or ``None`` to leave the file as it is.
    """
    encoding = encoding_of(path)
    header = parse(read_start(path, LONGEST_HEADER, encoding=encoding))
    image_path = path.with_suffix(".img") if header.detached else path
    sizes = [int(n) for n in header.fields["dim"][1 : int(header.fields["dim"][0]) + 1]]
    samples = {RGB: 3, RGBA: 4}.get(int(header.fields["datatype"]), 1)
    count = int(np.prod(sizes)) * samples
    voxels = read_array(image_path, header.dtype, count, offset=header.offset, encoding=encoding_of(image_path))
    whole = (*sizes, *(1,) * (len("ijk") - len(sizes)))
    array = voxels.reshape((samples, *whole[:3], -1), order="F")
    # Colours come first, times and echoes last; only one of the two is more than one.
    channels = array[..., 0] if samples > 1 and array.shape[-1] == 1 else np.moveaxis(array[0], -1, 0)
    if samples > 1 and array.shape[-1] > 1:
        raise FormatError("it has colours and times at once")
    spacing = tuple(abs(float(size)) for size in header.fields["pixdim"][1:4])
    made = change(channels, spacing, samples > 1, header.scaling[0] < 0)
    if made is None:
        return
    stored = made[..., None] if samples > 1 else np.moveaxis(made, 0, -1)[None]
    data = np.asfortranarray(stored.reshape(array.shape)).reshape(-1, order="F")
    head = [] if header.detached else [np.frombuffer(read_start(path, header.offset, encoding=encoding), np.uint8)]
    with atomic_path(image_path) as temporary, temporary.open("wb") as file:
        file.writelines(encode([*head, data], "gzip" if image_path.name.lower().endswith(".gz") else "raw"))


def _cleaned(header: Header) -> tuple[Any, list[str]]:
    old = header.fields
    # In the machine's byte order, as the voxels are once they are read.
    new = np.zeros((), old.dtype.newbyteorder("="))
    for name in _KEPT:
        new[name] = old[name]
    axes = int(old["dim"][0])
    new["dim"][axes + 1 :] = 1
    new["pixdim"][1 + max(axes, 3) :] = 1
    new["pixdim"][0] = -1 if float(old["pixdim"][0]) < 0 else 1
    # What no code declares to be a place may be anything.
    if int(old["qform_code"]) > 0:
        new["quatern"], new["qoffset"] = old["quatern"], old["qoffset"]
    if int(old["sform_code"]) > 0:
        new["srow"] = old["srow"]
    if int(old["intent_code"]) in _PARAMETERS:
        new["intent_p"] = old["intent_p"]
    new["vox_offset"] = 0 if header.detached else new.nbytes + 4
    names = old.dtype.names or ()
    actions = [f"emptied the field {name} of the NIfTI header" for name in _TEXT if name in names and bytes(old[name])]
    numbers = sorted(
        name
        for name in names
        if name not in (*_TEXT, "vox_offset", "regular")
        and not np.array_equal(old[name], new[name], equal_nan=_real(old[name]))
    )
    if numbers:
        actions.append(f"cleared fields of the NIfTI header that carry no meaning here: {', '.join(numbers)}")
    return new, actions


def _beside(header: Header, header_path: Path, image_path: Path, voxel_bytes: int) -> list[str]:
    """What lies between the header and the voxels, and behind them."""
    actions = []
    begin = header.fields.dtype.itemsize
    end = _LONGEST_EXTENSIONS if header.detached else header.offset
    between = read_start(header_path, end, encoding=encoding_of(header_path))[begin:]
    if between.strip(b"\0"):
        actions.append("removed the extensions behind the NIfTI header")
    encoding = encoding_of(image_path)
    whole = header.offset + voxel_bytes
    longer = (
        len(read_start(image_path, whole + 1, encoding=encoding)) if encoding == "gzip" else image_path.stat().st_size
    )
    if longer > whole:
        actions.append("removed bytes behind the voxels")
    if encoding == "gzip":
        with image_path.open("rb") as file:
            if file.read(4)[3] & 0b11100:  # Source: RFC 1952: FEXTRA, FNAME and FCOMMENT
                actions.append("removed the name that gzip had noted")
    return actions


def _real(value: Any) -> bool:
    return bool(np.asarray(value).dtype.kind == "f")


def _like(path: Path, suffix: str) -> str:
    return suffix.upper() if path.suffix.isupper() else suffix
