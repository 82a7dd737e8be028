"""The liver of a real CT, divided by the landmarks that the page on measuring has."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from vesalius.image import LabelMap, Labels
from vesalius.io import read_labels
from vesalius.transform.division import divide

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "measure.md"
SEGMENTS = ("I", "II", "III", "IVa", "IVb", "V", "VI", "VII", "VIII")


@pytest.fixture
def body(shared_data):
    return read_labels(shared_data / "totalsegmentator_samples" / "ct_seg.nii.gz")


def _planes(folder, **changes):
    (told,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (folder / "planes.json").write_text(json.dumps(json.loads(told) | changes))
    return folder / "planes.json"


def test_the_segments_of_a_real_liver(body, tmp_path):
    found = divide(body, _planes(tmp_path))
    assert found.labels.names == tuple(f"label 5: {name}" for name in SEGMENTS)
    np.testing.assert_array_equal(found.array > 0, body.array == 5)
    points = {
        name: found.grid.to_points(np.argwhere(found.array == value)) for value, name in enumerate(SEGMENTS, start=1)
    }
    x, y = ({name: own.mean(0)[axis] for name, own in points.items()} for axis in range(2))
    assert x["VII"] < x["VIII"] < x["IVa"] < x["II"]  # from right to left, above and below the portal vein
    assert x["VI"] < x["V"] < x["IVb"] < x["III"]
    for below, above in (("III", "II"), ("IVb", "IVa"), ("V", "VIII"), ("VI", "VII")):
        assert points[below][:, 2].max() < points[above][:, 2].min()
    assert y["VII"] > y["VIII"]  # behind it
    vena_cava = body.grid.to_points(np.argwhere(body.array == 63))
    assert y["I"] > max(y["II"], y["IVa"])
    assert np.linalg.norm(points["I"][:, None] - vena_cava[::5][None], axis=-1).min() < 4  # a voxel: it touches it
    shares = {name: len(own) / (body.array == 5).sum() for name, own in points.items()}
    # The caudate lobe is small, and the right lobe is most of a liver.
    assert 0.01 < shares["I"] < 0.08
    assert 0.5 < shares["V"] + shares["VI"] + shares["VII"] + shares["VIII"] < 0.8


def test_the_caudate_lobe_as_a_label(body, tmp_path):
    by_planes = divide(body, _planes(tmp_path))
    array = body.array.copy()
    array[by_planes.array == 1] = 200
    known = Labels((*body.labels.labels, *Labels.of({"caudate lobe": 200}).labels))
    by_label = divide(LabelMap(array, body.grid, known), _planes(tmp_path, caudate=["caudate lobe"]))
    np.testing.assert_array_equal(by_label.array, by_planes.array)
    assert by_label.labels == by_planes.labels
