"""Where a NIfTI header says that the voxels are: sform, qform, bare spacings, units."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from vesalius.errors import GeometryError
from vesalius.image import Grid, Volume
from vesalius.io import read, write

# Byte offsets of NIfTI-1's fields, from the standard.
PIXDIM, UNITS, QFORM_CODE, SFORM_CODE, QUATERN, SROW = 76, 123, 252, 254, 256, 280

GRID = Grid.from_spacing((4, 5, 6), (1.0, 2.0, 3.0), origin_mm=(-10.0, 20.0, 30.0))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    write(Volume(np.arange(120, dtype=np.int16).reshape(1, 4, 5, 6), GRID), tmp_path / "plain.nii")
    return tmp_path / "plain.nii"


def patched(path: Path, at: int, form: str, *values: Any) -> Path:
    data = bytearray(path.read_bytes())
    struct.pack_into("<" + form, data, at, *values)
    (path.parent / "case.nii").write_bytes(data)
    return path.parent / "case.nii"


def test_spacing_lost_in_the_sform_comes_from_pixdim(plain: Path) -> None:
    affine = (-1, 0, 0, 5, 0, -1, 0, 6, 0, 0, 1, 7)
    path = patched(patched(plain, SROW, "12f", *affine), SFORM_CODE, "h", 2)
    path = patched(path, QFORM_CODE, "h", 0)
    path = patched(path, PIXDIM, "4f", 1, 1.5625, 1.5625, 10)
    found = read(path)
    assert found.grid.spacing_mm == (1.5625, 1.5625, 10.0)
    assert found.grid.origin_mm == (-5.0, -6.0, 7.0)
    assert found.grid.axis_codes == "LPS"
    assert found.meta.notes == (
        "The sform has no spacing; directions were taken from it and the spacing (1.5625, 1.5625, 10) from pixdim.",
    )


def test_another_spacing_in_the_sform_wins_and_is_noted(plain: Path) -> None:
    path = patched(patched(plain, QFORM_CODE, "h", 0), PIXDIM, "4f", 1, 7, 7, 7)
    found = read(path)
    assert found.grid.spacing_mm == pytest.approx((1, 2, 3))
    assert found.meta.notes == ("The sform's spacing differs from pixdim; the sform was used.",)


def test_sform_and_qform_that_disagree(plain: Path) -> None:
    found = read(patched(plain, QUATERN, "3f", 0.0, 0.0, 0.0))
    assert found.grid.is_close(GRID, tolerance_mm=1e-5)
    assert found.meta.notes == ("sform and qform disagree; the sform was used.",)


def test_the_qform_alone(plain: Path) -> None:
    found = read(patched(plain, SFORM_CODE, "h", 0))
    assert found.grid.is_close(GRID, tolerance_mm=1e-5)
    assert found.meta.notes == ()


def test_neither_sform_nor_qform(plain: Path) -> None:
    path = patched(patched(plain, SFORM_CODE, "h", 0), QFORM_CODE, "h", 0)
    found = read(path)
    assert np.allclose(found.grid.affine, np.diag([-1.0, -2.0, 3.0, 1.0]))  # x = pixdim * i, in RAS
    assert "neither sform nor qform" in found.meta.notes[0]


@pytest.mark.parametrize(
    ("code", "factor"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001), (2 | 8, 1.0), (3 | 16, 1e-3)]
)
@pytest.mark.parametrize("form", ["sform", "qform", "none"])
def test_lengths_become_millimetres(plain: Path, code: int, factor: float, form: str) -> None:
    path = patched(plain, UNITS, "B", code)
    for at, name in ((SFORM_CODE, "sform"), (QFORM_CODE, "qform")):
        path = patched(path, at, "h", int(form == name))
    found = read(path)
    assert found.grid.spacing_mm == pytest.approx(np.array([1, 2, 3]) * factor, rel=1e-6)
    if form != "none":
        assert found.grid.origin_mm == pytest.approx(np.array([-10, 20, 30]) * factor, rel=1e-6)
    assert any("millimetres" in note for note in found.meta.notes) == (factor != 1.0)


def test_a_picture_that_lies_obliquely_in_space_is_a_slice(tmp_path: Path) -> None:
    affine = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, 2, 0, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(np.zeros((4, 5), np.int16), affine), tmp_path / "a.nii")
    found = read(tmp_path / "a.nii")
    assert found.grid.shape == (4, 5, 1)
    assert found.grid.spacing_mm[:2] == (1.0, 2.0)
    assert "one slice" in found.meta.notes[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_spacings_that_cannot_be(plain: Path, value: float) -> None:
    path = patched(patched(plain, SFORM_CODE, "h", 0), PIXDIM + 4, "f", value)
    with pytest.raises(GeometryError, match=r"case\.nii"):
        read(path)
