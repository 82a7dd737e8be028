"""Every method without training and every step of preprocessing runs on real images, as the galleries show."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from vesalius.classical import METHODS
from vesalius.io import read_labels
from vesalius.transform.pipeline import STEPS

ROOT = Path(__file__).resolve().parents[2]


def script(name):
    source = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(source)
    sys.modules[name] = module
    source.loader.exec_module(module)
    return module


gallery = script("gallery")
steps = script("gallery_steps")

pytest.importorskip("SimpleITK")
pytest.importorskip("skimage")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def images(shared_data, tmp_path_factory):
    work = tmp_path_factory.mktemp("gallery")
    return work, gallery.prepare(shared_data, work)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_marks_something_on_its_images(method, images, shared_data):
    work, both = images
    for image, options in zip(gallery.seen_by(method, both, shared_data), gallery.EXAMPLES[method], strict=True):
        volume, labels = gallery.found_by(method, image, options, work)
        assert gallery.panel(volume, labels).shape == (240, 240, 3)


@pytest.mark.parametrize("options", gallery.ATLAS_EXAMPLES, ids=("one", "five"))
def test_atlases_mark_a_hippocampus(options, shared_data, tmp_path):
    target = gallery.prepare_atlases(shared_data, tmp_path)
    _, labels = gallery.found_by("atlas", target, options, tmp_path)
    drawn = read_labels(shared_data / gallery.HIPPOCAMPI / "labels" / f"hippocampus_{gallery.TARGET}.nii.gz")
    both = np.count_nonzero((labels.array > 0) & (drawn.array > 0))
    assert 2 * both / (np.count_nonzero(labels.array) + np.count_nonzero(drawn.array)) > 0.7


def test_the_page_is_that_of_the_script():
    folder = ROOT / "docs" / "gallery"
    assert (folder / "index.md").read_text(encoding="utf-8") == gallery.page(gallery.EXAMPLES)
    assert {path.stem for path in folder.glob("*.png")} == {*METHODS, "atlas"}


def test_the_page_of_the_steps_is_that_of_its_script():
    folder = ROOT / "docs" / "gallery"
    assert (folder / "preprocessing.md").read_text(encoding="utf-8") == steps.page()
    assert (
        {path.stem for path in (folder / "steps").glob("*.png")} == set(steps.EXAMPLES) == set(STEPS) - steps.LEFT_OUT
    )


@pytest.fixture(scope="module")
def laid_out(shared_data, tmp_path_factory):
    work = tmp_path_factory.mktemp("steps")
    steps.prepare(shared_data, work)
    return work


@pytest.mark.parametrize("step", steps.EXAMPLES)
def test_a_step_changes_its_image(step, laid_out):
    before, after = steps.changed_by(step, laid_out)
    assert after.grid.shape != before.grid.shape or not np.array_equal(after.array, before.array)
