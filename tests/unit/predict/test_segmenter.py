"""Segmenters: which engine computes for them, when it is made ready, and what they remember."""

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace

import pytest
import torch
from phantoms import drawn_bundle

from vesalius.errors import PlanError
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.predict import segmenter as home
from vesalius.predict.backends import BACKENDS
from vesalius.predict.backends.eager import Eager
from vesalius.predict.backends.remembered import FILE

pytestmark = pytest.mark.usefixtures("single_precision", "cache")

WINDOW = (1, 1, 16, 16, 16)


@dataclass(frozen=True)
class Instant(Eager):
    """An engine that is ready in no time, and tells what it was made ready for."""

    loaded: list[tuple[int, ...]] = field(default_factory=list)

    def load(self, networks, window):
        self.loaded.append(window)
        return super().load(networks, window)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vesalius"


@pytest.fixture
def rival(monkeypatch, cache) -> Instant:
    """In the place of OpenVINO's float32: as exact, and it costs nothing to make ready."""
    engine = Instant(torch.float32)
    table = {**BACKENDS, "openvino-float32": engine}
    monkeypatch.setattr("vesalius.predict.backends.BACKENDS", table)
    monkeypatch.setattr(home, "BACKENDS", table)
    monkeypatch.setattr(home, "_LOADING_S", {"openvino": (0.0, 0.0), "others": (0.0, 0.0)})
    return engine


def compute(segmenter: Segmenter, batches: int, window: tuple[int, ...] = WINDOW, count: int = 1000) -> None:
    run = segmenter.run(window, count)
    for _ in range(batches):
        run(torch.randn(window))


def test_one_small_image_is_not_worth_another_engine(bundle, image, cache):
    segmenter = load_segmenter(bundle, device="cpu")
    segment(image, segmenter)
    assert list(segmenter.engines) == ["torch-float32"]
    assert not cache.exists()


def test_one_small_image_does_not_even_import_one(tmp_path):
    call = """
import sys
import numpy as np
from vesalius.image import Grid, Volume
from vesalius.predict import segment
shape = (35, 51, 35)
segment(Volume(np.ones((1, *shape), np.float32), Grid(shape, np.eye(4))), "hippocampus", device="cpu")
assert "openvino" not in sys.modules
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", call], check=True, env=environment)


def test_much_work_is_handed_over_and_that_is_remembered_with_the_bundle(bundle, tmp_path, rival, cache):
    folder = bundle.save(tmp_path / "bundle")
    segmenter = load_segmenter(folder, device="cpu")
    compute(segmenter, 6)
    assert segmenter.engines["torch-float32"] >= 1
    assert segmenter.engines["openvino-float32"] >= 3
    assert rival.loaded == [WINDOW]
    assert (folder / FILE).is_file()
    assert not cache.exists()
    assert load_segmenter(folder).bundle.plan == bundle.plan  # still a bundle


def test_what_is_remembered_is_taken_by_the_next_one(bundle, tmp_path, rival, monkeypatch):
    folder = bundle.save(tmp_path / "bundle")
    compute(load_segmenter(folder, device="cpu"), 6)
    for word, loads in (("openvino-float32", 1), ("torch-float32", 0)):
        monkeypatch.setattr(home, "recall", lambda *_, word=word: word)
        rival.loaded.clear()
        again = load_segmenter(folder, device="cpu")
        compute(again, 6)
        assert len(rival.loaded) == loads
        assert again.engines[word] == (5 if loads else 6)


@pytest.mark.parametrize("word", ["", "no-such-engine", "auto", "../../engine"])
def test_words_that_are_no_engine_are_not_believed(bundle, word, rival, monkeypatch):
    monkeypatch.setattr(home, "recall", lambda *_: word)
    segmenter = load_segmenter(bundle, device="cpu")
    compute(segmenter, 2)
    assert list(segmenter.engines) == ["torch-float32", "openvino-float32"]


def test_a_bundle_without_a_folder_is_remembered_in_the_cache(bundle, rival, cache, monkeypatch):
    kept = []
    monkeypatch.setattr(home, "remember", lambda folders, setting, name: kept.append((folders, setting, name)))
    compute(load_segmenter(bundle, device="cpu"), 8)
    compute(load_segmenter(bundle, device="cpu", folder=cache.parent / "no-such-folder"), 8)
    assert [folders for folders, _, _ in kept] == [[cache]] * len(kept)
    assert {tuple(sorted(setting.items())) for _, setting, _ in kept} == {tuple(sorted(kept[0][1].items()))}


def test_members_and_weights_are_part_of_what_is_remembered(bundle, rival, monkeypatch):
    settings = []
    monkeypatch.setattr(home, "recall", lambda _, setting: settings.append(setting()["bundle"]) or "")
    several = drawn_bundle(bundle.plan, members=2)
    for made, members in ((several, None), (several, (0,)), (several, (1,)), (drawn_bundle(bundle.plan), None)):
        load_segmenter(made, device="cpu", members=members).run(WINDOW, 1)
    assert len(set(settings)) == 4


def test_engines_stay_ready_for_the_next_image(bundle, rival):
    segmenter = load_segmenter(bundle, device="cpu", backend="openvino-float32")
    for _ in range(3):
        compute(segmenter, 1)
    assert rival.loaded == [WINDOW]


def test_a_few_shapes_are_kept_and_no_more(bundle, rival):
    segmenter = load_segmenter(bundle, device="cpu", backend="openvino-float32")
    shapes = [(1, 1, 16, 16, size) for size in (16, 24, 32, 40, 48)]
    for shape in [*shapes, *shapes[1:], shapes[0]]:
        segmenter.run(shape, 1)
    assert rival.loaded == [*shapes, shapes[0]]


def test_a_backend_that_was_named_is_used_and_nothing_else(bundle, image, rival, cache):
    segmenter = load_segmenter(bundle, device="cpu", backend="openvino-float32")
    segment(image, segmenter)
    assert list(segmenter.engines) == ["openvino-float32"]
    assert not cache.exists()


def test_a_backend_that_refuses_is_an_error_at_once(bundle, monkeypatch):
    monkeypatch.setattr("vesalius.predict.backends.compiled.shutil.which", lambda _: None)
    with pytest.raises(PlanError, match="'torch-compiled': there is no C"):
        load_segmenter(bundle, device="cpu", backend="torch-compiled")
    with pytest.raises(PlanError, match="unknown backend"):
        load_segmenter(bundle, device="cpu", backend="tensorflow")


def test_a_copy_counts_for_itself_and_shares_the_engines(bundle, rival):
    coarse = load_segmenter(bundle, device="cpu", backend="torch-float32")
    segmenter = replace(load_segmenter(bundle, device="cpu", backend="openvino-float32"), coarse=coarse)
    compute(segmenter, 2)
    one, other = segmenter.afresh(), segmenter.afresh()
    assert one.engines == {}
    compute(one, 1)
    assert one.coarse is not None
    compute(one.coarse, 3)
    assert one.engines == {"openvino-float32": 1, "torch-float32": 3}
    assert other.engines == {}
    assert segmenter.engines == {"openvino-float32": 2}
    assert rival.loaded == [WINDOW]


def test_other_networks_do_not_get_the_engines_of_these(bundle):
    segmenter = load_segmenter(drawn_bundle(bundle.plan, members=2), device="cpu", members=(0,))
    x = torch.randn(WINDOW)
    first = segmenter.run(WINDOW, 1)(x)
    others = load_segmenter(segmenter.bundle, device="cpu", members=(1,)).networks
    assert not torch.equal(replace(segmenter, networks=others).run(WINDOW, 1)(x), first)


@pytest.mark.parametrize(
    ("device", "dtype", "lines"),
    [
        ("cpu", torch.float32, [["torch-float32", "openvino-float32"]]),
        (
            "cpu",
            torch.bfloat16,
            [["torch-bfloat16", "openvino-bfloat16"], ["torch-float32", "openvino-float32"]],
        ),
        ("cuda", torch.bfloat16, [["torch-bfloat16", "torch-compiled"], ["torch-float32"]]),
        ("mps", torch.float32, [["torch-float32"]]),
    ],
)
def test_the_engines_of_a_device(device, dtype, lines, monkeypatch):
    monkeypatch.setattr(home, "fast_eager", lambda _: Eager(dtype))
    assert home.lines_for(torch.device(device)) == lines


def test_without_openvino_the_compiler_is_tried(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert home.lines_for(torch.device("cpu")) == [["torch-float32", "torch-compiled"]]
