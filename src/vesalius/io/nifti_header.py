"""NIfTI's header: its fields, and where they say that the voxels are.

Source: the NIfTI-1 and NIfTI-2 standards (nifti1.h of 2007, nifti2.h of 2011, nifti.nimh.nih.gov); checked against
nibabel and SimpleITK.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError, GeometryError
from vesalius.image import Grid
from vesalius.io.contents import grid_of

_VERSION_1 = np.dtype(
    [
        ("sizeof_hdr", "i4"), ("data_type", "S10"), ("db_name", "S18"), ("extents", "i4"), ("session_error", "i2"),
        ("regular", "S1"), ("dim_info", "u1"), ("dim", "i2", 8), ("intent_p", "f4", 3), ("intent_code", "i2"),
        ("datatype", "i2"), ("bitpix", "i2"), ("slice_start", "i2"), ("pixdim", "f4", 8), ("vox_offset", "f4"),
        ("scl_slope", "f4"), ("scl_inter", "f4"), ("slice_end", "i2"), ("slice_code", "u1"), ("xyzt_units", "u1"),
        ("cal_max", "f4"), ("cal_min", "f4"), ("slice_duration", "f4"), ("toffset", "f4"), ("glmax", "i4"),
        ("glmin", "i4"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "i2"), ("sform_code", "i2"),
        ("quatern", "f4", 3), ("qoffset", "f4", 3), ("srow", "f4", (3, 4)), ("intent_name", "S16"), ("magic", "S4"),
    ]
)  # fmt: skip
_VERSION_2 = np.dtype(
    [
        ("sizeof_hdr", "i4"), ("magic", "S8"), ("datatype", "i2"), ("bitpix", "i2"), ("dim", "i8", 8),
        ("intent_p", "f8", 3), ("pixdim", "f8", 8), ("vox_offset", "i8"), ("scl_slope", "f8"), ("scl_inter", "f8"),
        ("cal_max", "f8"), ("cal_min", "f8"), ("slice_duration", "f8"), ("toffset", "f8"), ("slice_start", "i8"),
        ("slice_end", "i8"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "i4"), ("sform_code", "i4"),
        ("quatern", "f8", 3), ("qoffset", "f8", 3), ("srow", "f8", (3, 4)), ("slice_code", "i4"), ("xyzt_units", "i4"),
        ("intent_code", "i4"), ("intent_name", "S16"), ("dim_info", "u1"), ("unused", "S15"),
    ]
)  # fmt: skip
LONGEST_HEADER = _VERSION_2.itemsize

_MAGIC = {b"n+1": False, b"ni1": True, b"n+2\0\r\n\x1a\n": False, b"ni2\0\r\n\x1a\n": True}
_TO_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown counts as mm, as all readers have it
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_ORDERS: tuple[Literal["<"], Literal[">"]] = ("<", ">")
_VECTOR = 1007
_VECTOR_INTENTS = {1004, 1005, 1006, 1007, 1008, 1009}  # from general to symmetric matrix, displacement, vector …

DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 128: "u1", 256: "i1", 512: "u2", 768: "u4", 1024: "i8",
          1280: "u8", 2304: "u1"}  # fmt: skip
RGB, RGBA = 128, 2304
_UNREADABLE = {1: "1-bit", 32: "complex", 1536: "128-bit float", 1792: "complex", 2048: "complex"}


@dataclass(frozen=True)
class Header:
    """What a NIfTI header says, checked.

    Args:
        fields: The raw fields.
        shape: Points on each spatial axis, 2 or 3.
        channels: Product of the axes beyond space, of which one at most is not 1.
        detached: Whether the voxels lie in an ``.img`` file.
        offset: Where the voxels begin.
    """

    fields: Any
    shape: tuple[int, ...]
    channels: int
    detached: bool
    offset: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Stored type, with byte order."""
        return np.dtype(DTYPES[int(self.fields["datatype"])]).newbyteorder(self.fields.dtype["dim"].base.byteorder)

    @property
    def scaling(self) -> tuple[float, float]:
        """Slope and intercept; (1, 0) when there is nothing to scale."""
        slope, intercept = float(self.fields["scl_slope"]), float(self.fields["scl_inter"])
        if slope == 0 or not np.isfinite(slope):
            return 1.0, 0.0
        return slope, intercept if np.isfinite(intercept) else 0.0


def parse(start: bytes) -> Header:
    """Read and check a header.

    Args:
        start: The first `LONGEST_HEADER` bytes of the file, or all of it.

    Raises:
        FormatError: It is not NIfTI, or says what cannot be.

    Example:
        >>> parse(build(Grid((4, 5), np.eye(3)), 3, 16, detached=True, offset=0)).channels
        3
    """
    fields = _fields(start)
    magic = bytes(fields["magic"])
    detached = _MAGIC.get(magic.rstrip(b"\0"))
    if detached is None:
        raise FormatError(f"not a NIfTI file: its magic is {magic!r}; ANALYZE 7.5 files must be converted first")
    datatype = int(fields["datatype"])
    if datatype not in DTYPES:
        kind = _UNREADABLE.get(datatype, "unknown")
        raise FormatError(f"its voxels are {kind} (NIfTI datatype {datatype}); convert it to an integer or float type")
    shape, channels = _shape(fields)
    offset = float(fields["vox_offset"])
    least = 0 if detached else fields.dtype.itemsize
    if not (np.isfinite(offset) and least <= offset < 2**40) or offset != int(offset):
        raise FormatError(f"its voxels cannot begin at byte {offset:g} (vox_offset); at least {least} is possible")
    return Header(fields, shape, channels, detached, int(offset))


def locate(header: Header) -> tuple[Grid, tuple[str, ...]]:
    """Where the voxels are, and what had to be decided to say so.

    The sform wins where it is coded, then the qform, then the bare spacings (the standard's methods 3, 2 and 1). One
    flaw of real files is mended as ITK does: an sform of unit columns beside another ``pixdim`` lost the spacing.

    Raises:
        GeometryError: The affine is singular or not finite.

    Example:
        >>> written = Grid.from_spacing((4, 5, 6), (1, 1, 3), origin_mm=(-9, 0, 7))
        >>> found, notes = locate(parse(build(written, 1, 4, detached=False, offset=352)))
        >>> found.origin_mm, notes
        ((-9.0, 0.0, 7.0), ())
    """
    fields = header.fields
    scale = _TO_MM.get(int(fields["xyzt_units"]) & 7, 1.0)
    notes = [] if scale == 1.0 else [f"Lengths were converted to millimetres (times {scale:g})."]
    pixdim = np.abs(fields["pixdim"][1:4].astype(np.float64))
    if len(header.shape) == 2 and not pixdim[2] > 0:
        pixdim[2] = 1.0
    has_sform, has_qform = int(fields["sform_code"]) > 0, int(fields["qform_code"]) > 0
    if has_sform:
        affine = np.vstack([fields["srow"].astype(np.float64), [0, 0, 0, 1]])
        columns = np.linalg.norm(affine[:3, :3], axis=0)
        if np.allclose(columns, 1, rtol=0, atol=1e-3) and (pixdim > 0).all() and np.isfinite(pixdim).all():
            if not np.allclose(pixdim, 1, rtol=0, atol=1e-3):
                affine[:3, :3] *= pixdim / columns
                spacing = ", ".join(f"{s:g}" for s in pixdim)
                notes.append(
                    f"The sform has no spacing; directions were taken from it and the spacing ({spacing}) from pixdim."
                )
        elif not np.allclose(columns, pixdim, rtol=1e-3, atol=0):
            notes.append("The sform's spacing differs from pixdim; the sform was used.")
        if has_qform and _differ(affine, _qform(fields, pixdim), header.shape):
            notes.append("sform and qform disagree; the sform was used.")
    elif has_qform:
        affine = _qform(fields, pixdim)
    else:
        affine = np.diag([*pixdim, 1.0])
        notes.append(
            "The file has neither sform nor qform; axes were taken as right, anterior, superior from the origin."
        )
    affine[:3] *= scale
    return _grid(header.shape, _RAS_TO_LPS @ affine, notes)


def build(grid: Grid, channels: int, datatype: int, *, detached: bool, offset: int) -> bytes:
    """The header of a file to be written, in the machine's byte order.

    NIfTI-1, unless an axis is longer than its 16-bit sizes can say. The qform is written beside the sform where it can
    hold the grid (no shear), for readers that know only one.

    Args:
        grid: Where the voxels are, LPS.
        channels: Written as the fourth axis (the fifth for pictures).
        datatype: NIfTI's number of the stored type.
        detached: Whether the voxels go into an ``.img`` file.
        offset: Where they begin.

    Returns:
        348 bytes, or 540 of NIfTI-2.

    Example:
        >>> len(build(Grid((4, 5, 6), np.eye(4)), 1, 4, detached=False, offset=352))
        348
    """
    sizes = [*grid.shape, *[1] * (3 - grid.ndim)]
    if channels == 1:
        dim = [grid.ndim, *sizes, 1, 1, 1, 1]
    elif grid.ndim == 2:
        dim = [5, *sizes, 1, channels, 1, 1]  # ITK's form of a 2D vector image
    else:
        dim = [4, *sizes, channels, 1, 1, 1]
    version = _VERSION_1 if max(dim) <= np.iinfo(np.int16).max else _VERSION_2
    fields = np.zeros((), version)
    fields["sizeof_hdr"] = version.itemsize
    name = b"ni" if detached else b"n+"
    fields["magic"] = name + (b"1" if version is _VERSION_1 else b"2\0\r\n\x1a\n")
    fields["dim"] = dim
    fields["datatype"] = datatype
    fields["bitpix"] = 24 if datatype == RGB else np.dtype(DTYPES[datatype]).itemsize * 8
    fields["vox_offset"] = offset
    fields["scl_slope"] = 1
    fields["xyzt_units"] = 2
    if dim[0] == 5:
        fields["intent_code"] = _VECTOR
    lps = np.eye(4)
    lps[: grid.ndim, : grid.ndim] = grid.affine[:-1, :-1]
    lps[: grid.ndim, 3] = grid.affine[:-1, -1]
    affine = _RAS_TO_LPS @ lps
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    fields["srow"] = affine[:3]
    fields["sform_code"] = 1
    fields["pixdim"] = [1, *spacing, 1, 1, 1, 1]
    turn = affine[:3, :3] / spacing
    if np.allclose(turn.T @ turn, np.eye(3), rtol=0, atol=1e-6):
        fields["qform_code"] = 1
        fields["pixdim"][0] = 1 if np.linalg.det(turn) > 0 else -1
        fields["quatern"] = _quaternion(turn * [1, 1, fields["pixdim"][0]])
        fields["qoffset"] = affine[:3, 3]
    return fields.tobytes()


def _fields(start: bytes) -> Any:
    for version in (_VERSION_1, _VERSION_2):
        for order in _ORDERS:
            if len(start) >= 4 and struct.unpack(order + "i", start[:4])[0] == version.itemsize:
                if len(start) < version.itemsize:
                    raise FormatError(f"the file ends inside its header ({len(start)} of {version.itemsize} bytes)")
                return np.frombuffer(start, version.newbyteorder(order), 1)[0]
    raise FormatError("not a NIfTI file: it does not begin with 348 or 540, the size of NIfTI's headers")


def _shape(fields: Any) -> tuple[tuple[int, ...], int]:
    dim = [int(n) for n in fields["dim"]]
    axes = dim[0]
    if not 2 <= axes <= 7 or min(dim[1 : axes + 1]) < 1:
        raise FormatError(f"its shape cannot be: dim = {dim}; 2 to 7 axes of at least 1 point are possible")
    sizes = dim[1 : axes + 1] + [1] * (7 - axes)
    beyond = [n for n in sizes[3:] if n > 1]
    if len(beyond) > 1:
        raise FormatError(f"it has {len(beyond)} axes beyond space (dim = {dim}); only one, of channels, can be read")
    is_picture = axes <= 2 or (axes == 5 and sizes[2:4] == [1, 1] and int(fields["intent_code"]) in _VECTOR_INTENTS)
    return tuple(sizes[: 2 if is_picture else 3]), beyond[0] if beyond else 1


def _qform(fields: Any, pixdim: NDArray[np.float64]) -> NDArray[np.float64]:
    """Method 2 of the standard: a rotation as a quaternion, a spacing, and a reflection of the third axis."""
    b, c, d = (float(x) for x in fields["quatern"])
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < 1e-7:  # rounding: a half turn
        norm = np.sqrt(b * b + c * c + d * d)
        a, b, c, d = 0.0, b / norm, c / norm, d / norm
    else:
        a = float(np.sqrt(rest))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn * pixdim * [1, 1, -1 if float(fields["pixdim"][0]) < 0 else 1]
    affine[:3, 3] = fields["qoffset"]
    return affine


def _quaternion(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(b, c, d)`` of a proper rotation, with ``a >= 0``."""
    # The eigenvector of the largest eigenvalue is the quaternion, stable for every angle.
    # Source: Bar-Itzhack, J. Guidance 23(6):1085-1087 (2000), version 3; checked against SimpleITK and nibabel.
    xx, yx, zx, xy, yy, zy, xz, yz, zz = turn.T.flatten()
    symmetric = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [yx + xy, yy - xx - zz, 0, 0],
            [zx + xz, zy + yz, zz - xx - yy, 0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(symmetric / 3.0)
    b, c, d, a = vectors[:, -1]
    imaginary: NDArray[np.float64] = np.array([b, c, d]) * (-1.0 if a < 0 else 1.0)
    return imaginary


def _differ(one: NDArray[np.float64], other: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in (*shape, 1)[:3]], [1], indexing="ij")).reshape(4, -1)
    apart = np.linalg.norm(((one - other) @ corners)[:3], axis=0).max()
    return not apart <= 0.1


def _grid(shape: tuple[int, ...], affine: NDArray[np.float64], notes: list[str]) -> tuple[Grid, tuple[str, ...]]:
    if len(shape) == 3:
        return grid_of(shape, affine), tuple(notes)
    if not np.isfinite(affine).all():
        raise GeometryError("the affine holds NaN or infinity")
    in_plane = affine[2, :2] == 0
    if in_plane.all():
        return grid_of(shape, affine[np.ix_([0, 1, 3], [0, 1, 3])]), tuple(notes)
    # A picture that stands obliquely in space has a place that two coordinates cannot say.
    return grid_of((*shape, 1), affine), (
        *notes,
        "The picture lies obliquely in space; it is read as one slice of a volume.",
    )
