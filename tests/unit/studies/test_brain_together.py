"""Sequences of a case that lie apart are brought together, the tumour stays where it was drawn, and doubt refuses."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Volume
from vesalius.io import read, write
from vesalius.io.layouts.brats import CONVENTIONS
from vesalius.studies.brain_tumour.sample import Patient, draw_patient
from vesalius.studies.brain_tumour.together import bring_together
from vesalius.transform import respace

pytest.importorskip("SimpleITK")

NAMES = ("T1", "T1CE", "T2", "FLAIR")


@pytest.fixture(scope="module")
def patient() -> Patient:
    return draw_patient(np.random.default_rng([5, 1]), number=1)


@pytest.fixture
def files(patient: Patient, tmp_path: Path) -> dict[str, Path]:
    return {name: put(patient.images[name], patient.grid, tmp_path / f"{name}.nii.gz") for name in NAMES}


@pytest.fixture
def drawn(patient: Patient, tmp_path: Path) -> Path:
    path = tmp_path / "seg.nii.gz"
    write(LabelMap(patient.compartments, patient.grid, CONVENTIONS["1/2/4"]), path)
    return path


def put(array: np.ndarray, grid: Grid, path: Path) -> Path:
    write(Volume(array[None], grid), path)
    return path


def lain_otherwise(grid: Grid, *, degrees: tuple[float, float, float], mm: tuple[float, float, float]) -> Grid:
    """Where a scanner says the voxels are, had the head been turned about its middle and moved."""
    middle = grid.to_points((np.asarray(grid.shape) - 1) / 2)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    pose[:3, 3] = middle + mm - pose[:3, :3] @ middle
    return Grid(grid.shape, pose @ grid.affine)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_nothing_is_moved_where_all_lie_together(files: dict[str, Path], drawn: Path, tmp_path: Path) -> None:
    assert bring_together(files, drawn, tmp_path / "moved") == (files, ())
    assert not (tmp_path / "moved").exists()


def test_a_turned_sequence_comes_back(patient: Patient, files: dict[str, Path], drawn: Path, tmp_path: Path) -> None:
    """Turned by 6° and moved by 13 mm, its values the same: brought back, they are those of before."""
    put(patient.images["T2"], lain_otherwise(patient.grid, degrees=(0, 0, 6), mm=(3, -4, 12)), files["T2"])
    found, (told,) = bring_together(files, drawn, tmp_path / "moved")
    assert found == files | {"T2": tmp_path / "moved" / "T2.nii.gz"}
    back = read(found["T2"])
    assert back.grid.is_close(patient.grid, tolerance_mm=0.01)
    assert alike(back.array[0], patient.images["T2"]) > 0.99
    words = told.split()
    assert told.startswith("its T2 was brought onto its T1CE: moved by 1")
    assert float(words[words.index("mm") - 1]) == pytest.approx(13, abs=1.0)
    assert float(words[words.index("turned") + 2].rstrip("°,")) == pytest.approx(6, abs=0.5)


def test_coarser_slices_are_laid_on_the_finer_grid(patient: Patient, files: dict[str, Path], tmp_path: Path) -> None:
    """Headers that are right are believed: another grid alone is not a move."""
    thick = respace(Volume(patient.images["FLAIR"][None].astype(np.float32), patient.grid), (3.0, 3.0, 6.0))
    write(thick, files["FLAIR"])
    found, (told,) = bring_together(files, None, tmp_path / "moved")
    back = read(found["FLAIR"])
    assert back.grid.is_close(patient.grid, tolerance_mm=0.01)
    assert alike(back.array[0], patient.images["FLAIR"]) > 0.95
    assert float(told.split("moved by ")[1].split()[0]) < 1


def test_the_tumour_is_not_moved(patient: Patient, files: dict[str, Path], drawn: Path, tmp_path: Path) -> None:
    """T1CE, the fixed one otherwise, lies apart from three others, with which the drawn tumour goes: it alone moves."""
    put(np.roll(patient.images["T1CE"], 4, axis=1), patient.grid, files["T1CE"])
    found, (told,) = bring_together(files, drawn, tmp_path / "moved")
    assert [name for name in NAMES if found[name] != files[name]] == ["T1CE"]
    assert told.startswith("its T1CE was brought onto its T1: moved by 12")
    assert alike(read(found["T1CE"]).array[0], patient.images["T1CE"]) > 0.98


def test_the_grid_of_the_reference_decides(
    patient: Patient, files: dict[str, Path], drawn: Path, tmp_path: Path
) -> None:
    elsewhere = lain_otherwise(patient.grid, degrees=(0, 5, 0), mm=(0, 6, 0))
    for name in ("T1", "T1CE", "T2"):
        put(patient.images[name], elsewhere, files[name])
    found, told = bring_together(files, drawn, tmp_path / "moved")
    assert found["FLAIR"] == files["FLAIR"]
    assert [words.split(": ")[0] for words in told] == [
        f"its {name} was brought onto its FLAIR" for name in ("T1", "T1CE", "T2")
    ]
    assert alike(read(found["T1CE"]).array[0], patient.images["T1CE"]) > 0.98


def test_two_that_lie_apart_below_a_reference(
    patient: Patient, files: dict[str, Path], drawn: Path, tmp_path: Path
) -> None:
    put(np.roll(patient.images["T2"], 4, axis=1), patient.grid, files["T2"])
    two = {name: files[name] for name in ("T1CE", "T2")}
    with pytest.raises(DataError, match="it cannot be told on which the tumour was drawn"):
        bring_together(two, drawn, tmp_path / "moved")
    found, _ = bring_together(two, None, tmp_path / "moved")
    assert found["T1CE"] == files["T1CE"]


def test_a_reference_that_lies_on_no_sequence(
    patient: Patient, files: dict[str, Path], drawn: Path, tmp_path: Path
) -> None:
    elsewhere = lain_otherwise(patient.grid, degrees=(0, 0, 0), mm=(0, 9, 0))
    write(LabelMap(patient.compartments, elsewhere, CONVENTIONS["1/2/4"]), drawn)
    with pytest.raises(DataError, match="on which was it drawn"):
        bring_together(files, drawn, tmp_path / "moved")


@pytest.mark.parametrize(
    ("degrees", "mm", "why"),
    [((0, 0, 48), (0, 0, 0), "turned by 4"), ((0, 0, 0), (0, 0, 90), "moved by [89]")],
)
def test_a_pose_that_no_head_takes(
    patient: Patient, files: dict[str, Path], tmp_path: Path, degrees: tuple, mm: tuple, why: str
) -> None:
    put(patient.images["T2"], lain_otherwise(patient.grid, degrees=degrees, mm=mm), files["T2"])
    with pytest.raises(DataError, match=why) as refused:
        bring_together(files, None, tmp_path / "moved")
    assert str(refused.value).startswith("its T2 could not be brought onto its T1CE: ")
    assert not (tmp_path / "moved").exists()


def test_half_a_brain_is_not_the_brain(patient: Patient, files: dict[str, Path], tmp_path: Path) -> None:
    cut = patient.images["T2"].copy()
    cut[:, :, :22] = 0
    put(cut, lain_otherwise(patient.grid, degrees=(0, 0, 4), mm=(0, 0, 5)), files["T2"])
    with pytest.raises(DataError, match=r"cover each other only to [67]\d%"):
        bring_together(files, None, tmp_path / "moved")


def test_noise_in_the_shape_of_the_brain(patient: Patient, files: dict[str, Path], tmp_path: Path) -> None:
    """The outlines fit, and mutual information with them; what is inside has nothing to do with the patient."""
    noise = np.random.default_rng(2).integers(100, 900, patient.grid.shape).astype(np.int16)
    noise[patient.images["T2"] == 0] = 0
    put(noise, lain_otherwise(patient.grid, degrees=(0, 0, 4), mm=(0, 0, 5)), files["T2"])
    with pytest.raises(DataError, match="inside the brain one tells next to nothing of the other"):
        bring_together(files, None, tmp_path / "moved")


def test_an_empty_sequence(patient: Patient, files: dict[str, Path], tmp_path: Path) -> None:
    put(patient.images["T2"] * 0, patient.grid, files["T2"])
    with pytest.raises(DataError, match="its T2 is no volume of one channel that shows a brain"):
        bring_together(files, None, tmp_path / "moved")
