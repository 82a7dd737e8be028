"""HC18: pixel sizes from the table, outlines filled, views of one number together."""

import json
import pickle

import numpy as np
import pytest

from vesalius.cli import main
from vesalius.errors import DataError, FormatError
from vesalius.image import Grid, LabelMap
from vesalius.io import write
from vesalius.io.layouts import hc18, index

SHAPE = (60, 48)


def ellipse(width=20.0, height=15.0):
    i, j = np.indices(SHAPE)
    return ((i - 30) / width) ** 2 + ((j - 24) / height) ** 2


def outline(open_end=False):
    far = ellipse()
    line = (np.abs(np.sqrt(far) - 1) < 0.08).astype(np.uint8) * 255
    if open_end:
        line[28:33, :24] = 0
    return line


@pytest.fixture
def heads(pen):
    """Two views of one number and a picture of another, as the archive has them."""
    for name in ("010_HC", "010_2HC", "124_HC"):
        pen.image(f"training_set/{name}.png", shape=SHAPE)
        pen.reference(f"training_set/{name}_Annotation.png", array=outline())
    pen.image("test_set/000_HC.png", shape=SHAPE)
    table = "filename,pixel size(mm),head circumference (mm)\n"
    table += "010_HC.png,0.1,44.3\n010_2HC.png,0.2,45\n124_HC.png,0.05,63.8\n"
    pen.text("training_set_pixel_size_and_HC.csv", table)
    pen.text("test_set_pixel_size.csv", "filename,pixel size(mm)\n000_HC.png,0.3\n")
    return pen


def test_pictures_are_in_mm_and_outlines_are_filled(heads):
    dataset = index(heads.root)
    assert (dataset.layout, dataset.channels, dataset.labels.names) == ("hc18", ("US",), ("fetal head",))
    assert {record.id: record.patient for record in dataset.records} == {
        "000_HC": "000",
        "010_2HC": "010",
        "010_HC": "010",
        "124_HC": "124",
    }
    assert len(dataset.patients) == 3
    case = next(case for case in dataset if case.id == "010_HC")
    assert (case.image.meta.modality, case.image.meta.calibrated) == ("US", True)
    assert case.image.grid.spacing_mm == pytest.approx((0.1, 0.1))
    assert np.array_equal(case.reference.array > 0, np.sqrt(ellipse()) < 1.08)
    assert dataset.records[0].reference is None
    assert pickle.loads(pickle.dumps(dataset))[1].id == dataset[1].id


def test_the_circumferences(heads):
    found = hc18.read_heads(heads.root)
    assert found["010_HC"] == hc18.Head(0.1, 44.3)
    assert found["000_HC"] == hc18.Head(0.3, None)


def test_what_is_amiss(heads, reasons):
    heads.image("training_set/300_HC.png", shape=SHAPE)
    heads.reference("training_set/301_HC_Annotation.png", array=outline())
    heads.reference("training_set/124_HC_Annotation.png", array=outline(open_end=True))
    heads.image("training_set/notes.png", shape=SHAPE)
    found = reasons(index(heads.root))
    assert "not in the table" in found["300_HC"]
    assert "no picture for this drawing" in found["301_HC_Annotation.png"]
    assert "not closed" in found["124_HC"]
    assert "neither" in found["training_set/notes.png"]


@pytest.mark.parametrize("size", ["0", "-1", "nan", "wide", ""])
def test_a_size_that_is_none(heads, size):
    heads.text("test_set_pixel_size.csv", f"filename,pixel size(mm)\n000_HC.png,{size}\n")
    with pytest.raises(FormatError, match=r"test_set_pixel_size.csv: line 2"):
        index(heads.root)


def test_predictions_are_scored_against_what_is_filled(heads, tmp_path_factory, capsys):
    said = tmp_path_factory.mktemp("said")
    for case in index(heads.root):
        if case.reference is not None:  # as pixels without a size, which is all that a PNG can say
            flat = Grid(case.reference.grid.shape, np.eye(3))
            write(LabelMap(case.reference.array, flat, case.reference.labels), said / f"{case.id}.png")
    assert main(["evaluate", str(said), str(heads.root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["summary"]["values"]["fetal head"]["dice"]["mean"] == 1


def test_a_manifest_cannot_hold_it(heads, tmp_path, capsys):
    assert main(["index", str(heads.root), "--manifest", str(tmp_path / "m.csv")]) == 1
    assert "a way of its own" in capsys.readouterr().err
    assert not (tmp_path / "m.csv").exists()


def test_without_reading(heads):
    dataset = index(heads.root, check=False)
    assert dataset.labels.names == ("fetal head",)
    assert dataset[1].reference.array.any()


def test_patients_are_its_own(heads):
    with pytest.raises(DataError, match="names its patients itself"):
        index(heads.root, patient_pattern=r"\d")
