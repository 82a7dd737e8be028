"""Imported models against nnU-Net's own predictions; tests/fixtures/nnunet/make.py made both."""

from pathlib import Path

import numpy as np
import pytest

from vesalius.bundle import Bundle
from vesalius.export.nnunet import import_nnunet
from vesalius.image import Volume
from vesalius.io import read
from vesalius.io.layouts.load import read_channels
from vesalius.predict import load_segmenter, segment
from vesalius.predict.places import window_starts

FIXTURES = Path(__file__).parents[1] / "fixtures" / "nnunet"
NAMES = ("plain", "residual", "thick", "slices", "picture")


def case_of(folder: Path) -> Volume:
    files = sorted(folder.glob("case_*"))
    return read(files[0]) if len(files) == 1 else read_channels(files)


def nnunets(folder: Path) -> np.ndarray:
    """nnU-Net's label map, (z, y, x) as it stores them, as (x, y, z) or (x, y)."""
    labels = np.load(folder / "prediction.npz")["labels"]
    flat = (folder / "case_0000.png").exists()
    return labels[0].T if flat else labels.transpose()


@pytest.mark.parametrize("name", NAMES)
def test_the_label_map_is_nnunets(name: str, tmp_path: Path) -> None:
    folder = FIXTURES / name
    place = import_nnunet(folder).save(tmp_path / "bundle", precision="single")
    segmenter = load_segmenter(Bundle.load(place), device="cpu", backend="torch-float32")
    found, theirs = segment(case_of(folder), segmenter).labels.array, nnunets(folder)
    assert found.shape == theirs.shape
    assert len(np.unique(theirs)) > 1
    assert (found == theirs).mean() >= 0.9999


@pytest.mark.parametrize("patch", [20, 40, 56, 112])
def test_windows_begin_where_nnunets_do(patch: int) -> None:
    for length in range(patch, 900):
        # nnU-Net's ``compute_steps_for_sliding_window`` at a step of a half, in its own order of operations.
        count = int(np.ceil((length - patch) / (patch * 0.5))) + 1
        step = (length - patch) / max(1, count - 1)
        assert window_starts((length,), (patch,)) == (tuple(int(np.round(step * k)) for k in range(count)),)
