"""The flaws of LiTS: seen, mended where it is clear how, and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Grid, Volume
from vesalius.io import write
from vesalius.studies.liver_tumour.cohort import open_cohort
from vesalius.studies.liver_tumour.sample import draw_abdomen

IMAGE, LABELS, GRID = draw_abdomen(np.random.default_rng(5))
NOWHERE = Grid(GRID.shape, np.diag([-1.0, -1.0, 1.0, 1.0]))


def put(
    folder: Path,
    *,
    image: np.ndarray = IMAGE,
    labels: np.ndarray = LABELS,
    grid: Grid = GRID,
    place: Grid | None = None,
) -> Path:
    write(Volume(image[None], grid), folder / "volume-0.nii")
    write(Volume(labels[None], place or grid), folder / "segmentation-0.nii")
    return folder


def mirrored(*signs: float) -> Grid:
    return Grid(GRID.shape, np.diag([*signs, 1.0]) @ GRID.affine)


def test_a_sound_case_is_left_alone(tmp_path: Path) -> None:
    cohort = open_cohort(put(tmp_path))
    assert cohort.repairs == ()
    case = cohort.dataset[0]
    np.testing.assert_array_equal(case.image.array[0], IMAGE)
    np.testing.assert_array_equal(case.reference.array, LABELS)
    assert (case.image.meta.modality, case.image.meta.unit) == ("CT", "HU")
    assert case.image.grid.is_close(GRID)


@pytest.mark.parametrize(
    ("signs", "words"),
    [
        ((-1, 1, 1), "mirrors x: the liver lay on the left;"),
        ((1, -1, 1), "mirrors y: the spine lay in front;"),
        ((1, 1, -1), "mirrors z: the lungs lay below;"),
        ((-1, -1, 1), "mirrors x, y: the liver lay on the left and the spine lay in front;"),
    ],
)
def test_mirrored_axes_are_turned_back(tmp_path: Path, signs: tuple[float, ...], words: str) -> None:
    cohort = open_cohort(put(tmp_path, grid=mirrored(*signs)))
    (told,) = cohort.repairs
    assert words in told
    case = cohort.dataset[0]
    assert case.image.grid.is_close(GRID)
    assert case.reference.grid.is_close(GRID)
    np.testing.assert_array_equal(case.image.array[0], IMAGE)


def test_lost_places(tmp_path: Path) -> None:
    """Of the segmentation: the volume's is taken. Of the volume: the segmentation's. Of both: no length is known."""
    for number, (grid, place) in enumerate([(GRID, NOWHERE), (NOWHERE, GRID)]):
        (tmp_path / str(number)).mkdir()
        cohort = open_cohort(put(tmp_path / str(number), grid=grid, place=place))
        assert f"that of the {('volume', 'segmentation')[number]} was taken" in cohort.repairs[0]
        assert cohort.dataset[0].image.grid.is_close(GRID)
    (tmp_path / "2").mkdir()
    with pytest.raises(DataError, match="its header has no spacing"):
        open_cohort(put(tmp_path / "2", grid=NOWHERE))


def test_values_that_are_no_hu(tmp_path: Path) -> None:
    for number, offset in enumerate((1024, 400)):
        (tmp_path / str(number)).mkdir()
        put(tmp_path / str(number), image=(IMAGE + offset).astype(np.int16))
    cohort = open_cohort(tmp_path / "0")
    assert cohort.repairs == ("volume-0: its values were stored 1024 above HU, which was taken off",)
    np.testing.assert_array_equal(cohort.dataset[0].image.array[0], IMAGE)
    with pytest.raises(DataError, match="are these HU"):
        open_cohort(tmp_path / "1")


def test_padding_counts_as_air(tmp_path: Path) -> None:
    padded = IMAGE.copy()
    padded[:3] = -3024
    cohort = open_cohort(put(tmp_path, image=padded))
    assert cohort.repairs == ("volume-0: values below -1024 outside the field of view count as air",)
    assert cohort.dataset[0].image.array.min() == -1024


def test_shapes_that_differ_and_files_cut_off(tmp_path: Path) -> None:
    put(tmp_path, labels=LABELS[:-2], place=Grid((GRID.shape[0] - 2, *GRID.shape[1:]), GRID.affine))
    with pytest.raises(DataError, match=r"its volume has .* voxels and its segmentation"):
        open_cohort(tmp_path)
    put(tmp_path)
    whole = (tmp_path / "volume-0.nii").read_bytes()
    (tmp_path / "volume-0.nii").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="volume-0: left out: "):
        open_cohort(tmp_path)


def test_labels_that_are_not_of_the_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"volume-0: left out: .*3"):
        open_cohort(put(tmp_path, labels=np.where(LABELS == 2, 3, LABELS).astype(np.uint8)))


def test_a_test_volume_needs_no_reference(tmp_path: Path) -> None:
    write(Volume((IMAGE + 1024).astype(np.int16)[None], mirrored(1, -1, 1)), tmp_path / "test-volume-3.nii")
    cohort = open_cohort(tmp_path)
    assert [told.partition(": ")[2][:12] for told in cohort.repairs] == ["its values w", "its header m"]
    case = cohort.dataset[0]
    assert case.reference is None
    assert case.image.grid.is_close(GRID)
