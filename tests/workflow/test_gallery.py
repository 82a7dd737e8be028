"""Every method without training runs by the command line, on a real picture and a real volume, as the gallery shows."""

import importlib.util
import sys
from pathlib import Path

import pytest

from vesalius.classical import METHODS

ROOT = Path(__file__).resolve().parents[2]
SOURCE = importlib.util.spec_from_file_location("gallery", ROOT / "scripts" / "gallery.py")
gallery = importlib.util.module_from_spec(SOURCE)
sys.modules["gallery"] = gallery
SOURCE.loader.exec_module(gallery)

pytest.importorskip("SimpleITK")
pytest.importorskip("skimage")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def images(shared_data, tmp_path_factory):
    work = tmp_path_factory.mktemp("gallery")
    return work, gallery.prepare(shared_data, work)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_marks_something_on_both_grids(method, images):
    work, both = images
    for image, options in zip(both, gallery.EXAMPLES[method], strict=True):
        volume, labels = gallery.found_by(method, image, options, work)
        assert gallery.panel(volume, labels).shape == (240, 240, 3)


def test_the_page_is_that_of_the_script():
    folder = ROOT / "docs" / "gallery"
    assert (folder / "index.md").read_text(encoding="utf-8") == gallery.page(gallery.EXAMPLES)
    assert {path.stem for path in folder.glob("*.png")} == set(METHODS)
