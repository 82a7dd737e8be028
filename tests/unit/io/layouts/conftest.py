"""Small images and label maps, written in any format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import write

SPACING_MM = (1.0, 1.5, 3.0)


class Pen:
    """Writes images and references below a folder; every image differs from the others."""

    def __init__(self, root: Path, rng: np.random.Generator) -> None:
        self.root = root
        self.rng = rng

    def _grid(self, path: str, shape: tuple[int, ...], shift_mm: float) -> Grid:
        if path.endswith((".png", ".jpg")):
            return Grid(shape, np.eye(len(shape) + 1))
        return Grid.from_spacing(shape, SPACING_MM[: len(shape)], origin_mm=(shift_mm, *[0.0] * (len(shape) - 1)))

    def image(self, path: str, *, shape=(6, 5, 4), channels=1, shift_mm=0.0, array=None) -> Path:
        if array is None:
            array = self.rng.integers(0, 200, (channels, *shape)).astype(np.uint8)
        return self._write(path, Volume(array, self._grid(path, array.shape[1:], shift_mm)))

    def reference(self, path: str, values=(1,), *, shape=(6, 5, 4), shift_mm=0.0, array=None) -> Path:
        """A label map that holds each value, without names in the file; empty when there are no values."""
        if array is None:
            array = np.zeros(shape, np.uint8 if max(values, default=0) < 256 else np.uint16)
            for column, value in enumerate(values):
                array[column % shape[0], 1 + column // shape[0]] = value
        return self._write(path, Volume(array[None], self._grid(path, array.shape, shift_mm)))

    def named(self, path: str, labels: Labels, *, shape=(6, 5, 4)) -> Path:
        """A label map that holds the names of its labels."""
        array = np.zeros(shape, np.uint8)
        for column, value in enumerate(labels.values):
            array[column, 1] = value
        return self._write(path, LabelMap(array, self._grid(path, shape, 0.0), labels))

    def text(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def _write(self, path: str, x: Volume | LabelMap) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write(x, target)
        return target


@pytest.fixture
def pen(tmp_path: Path, rng: np.random.Generator) -> Pen:
    """Writes below the test's own folder."""
    return Pen(tmp_path, rng)


@pytest.fixture
def reasons() -> Callable[..., dict[str, str]]:
    """What was left out of a data set, as a dict of reasons."""
    return lambda dataset: {case.id: case.reason for case in dataset.left_out}
