"""The synthetic sets of brain and liver tumours: laid out as the real ones, the same for a seed, and plausible."""

import csv
from pathlib import Path

import numpy as np
import pytest

from vesalius.image import LabelMap, Labels, Volume
from vesalius.io import read
from vesalius.metrics.midline import midline_shift_mm
from vesalius.studies.brain_tumour.sample import draw_patient, write_brats
from vesalius.studies.liver_tumour.sample import draw_abdomen, write_lits


@pytest.mark.parametrize(
    ("form", "case", "names", "values"),
    [
        ("2020", "BraTS20_Training_001", "_t1 _t1ce _t2 _flair _seg", {0, 1, 2, 4}),
        ("2023", "BraTS-GLI-00001-000", "-t1n -t1c -t2w -t2f -seg", {0, 1, 2, 3}),
    ],
)
def test_brats_as_it_is_published(tmp_path: Path, form: str, case: str, names: str, values: set[int]) -> None:
    write_brats(tmp_path, cases=1, form=form)
    found = {path.name for path in (tmp_path / case).iterdir()}
    assert found == {f"{case}{name}.nii.gz" for name in names.split()}
    seg = read(tmp_path / case / f"{case}{names.rsplit(maxsplit=1)[-1]}.nii.gz")
    assert set(np.unique(seg.array)) == values
    assert seg.grid.axis_codes == "LPS"
    image = read(tmp_path / case / f"{case}{names.split(maxsplit=1)[0]}.nii.gz")
    assert image.array.dtype == np.int16
    tables = {path.name for path in tmp_path.glob("*.csv")}
    assert tables == ({"name_mapping.csv", "survival_info.csv"} if form == "2020" else set())
    for name in tables:
        with (tmp_path / name).open(encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert case in row.values()


def test_a_brain_is_one() -> None:
    """1100 to 1500 ml, ventricles dark in T1 and FLAIR and bright in T2, a rim that takes up contrast agent."""
    made = draw_patient(np.random.default_rng(4), number=1)
    ml = made.grid.voxel_volume_mm3 / 1000
    assert 1100 < (made.images["T1"] > 0).sum() * ml < 1500
    assert 20 < (made.compartments > 0).sum() * ml < 160
    rim, oedema = made.compartments == 4, made.compartments == 2
    tissue = (made.images["T1"] > 0) & (made.compartments == 0)
    middle = {name: np.median(image[tissue]) for name, image in made.images.items()}
    assert np.median(made.images["T1CE"][rim]) > 1.2 * middle["T1CE"]
    assert np.median(made.images["T1"][rim]) < middle["T1"]
    assert np.median(made.images["FLAIR"][oedema]) > 1.4 * middle["FLAIR"]
    left = made.grid.to_points(np.argwhere(rim))[:, 0].mean() > made.grid.to_points(np.argwhere(tissue))[:, 0].mean()
    assert left, "odd ones have it on the left"
    again = draw_patient(np.random.default_rng(4), number=1)
    np.testing.assert_array_equal(made.images["T2"], again.images["T2"])


def test_every_fifth_tumour_does_not_enhance() -> None:
    assert not (draw_patient(np.random.default_rng(4), number=5).compartments == 4).any()


@pytest.mark.parametrize("number", range(1, 5))
def test_the_midline_is_pushed_away_from_the_tumour(number: int) -> None:
    made = draw_patient(np.random.default_rng([0, number]), number=number)
    image = Volume(np.stack(list(made.images.values())), made.grid)
    brain = LabelMap((image.array[0] > 0).astype(np.uint8), made.grid, Labels.of({"brain": 1}))
    tumour = LabelMap((made.compartments > 0).astype(np.uint8), made.grid, Labels.of({"tumour": 1}))
    assert abs(made.pushed_mm) > 1
    assert midline_shift_mm(image, brain, excluded=tumour) == pytest.approx(made.pushed_mm, abs=2)


def test_lits_as_it_is_published(tmp_path: Path) -> None:
    write_lits(tmp_path, cases=4)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{kind}-{number}.nii" for kind in ("volume", "segmentation") for number in range(4)
    }
    for number in range(4):
        volume, drawn = (read(tmp_path / f"{kind}-{number}.nii") for kind in ("volume", "segmentation"))
        assert volume.array.dtype == np.int16
        assert set(np.unique(drawn.array)) == {0, 1, 2}
        assert volume.grid.is_close(drawn.grid, tolerance_mm=0.01) == (number != 3), "one has lost its place"


def test_an_abdomen_is_one() -> None:
    """A liver of 1000 to 2500 ml on the right, tumours darker than it, a spine behind, lungs above."""
    image, labels, grid = draw_abdomen(np.random.default_rng(8))
    ml = grid.voxel_volume_mm3 / 1000
    assert 1000 < (labels > 0).sum() * ml < 2500
    assert 1 < (labels == 2).sum() * ml < 400
    assert np.median(image[labels == 1]) - np.median(image[labels == 2]) > 40
    at = {
        "liver": grid.to_points(np.argwhere(labels > 0)).mean(axis=0),
        "bone": grid.to_points(np.argwhere(image > 330)).mean(axis=0),
        "lung": grid.to_points(np.argwhere((image < -700) & (image > -900))).mean(axis=0),
    }
    assert at["liver"][0] < -20
    assert at["bone"][1] > 10
    assert at["lung"][2] > 30
    healthy = draw_abdomen(np.random.default_rng(8), tumours=False)[1]
    assert set(np.unique(healthy)) == {0, 1}
