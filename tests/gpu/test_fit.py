"""The main path on a CUDA device: it learns what the processor learns, and what it made runs anywhere."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import ball_case, ball_dataset

from vesalius.bundle import Bundle
from vesalius.metrics import evaluate
from vesalius.plan import Budget, fingerprint, make_plan
from vesalius.plan.device import fast_dtype, find_device
from vesalius.plan.measure import step_seconds
from vesalius.predict import segment
from vesalius.train import fit

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    dataset = ball_dataset(6)
    plan = make_plan(fingerprint(dataset), Budget(steps=80, device="cuda"))
    out = tmp_path_factory.mktemp("cuda") / "balls"
    fit(dataset, plan, out, device="cuda")
    return Bundle.load(out)


def test_the_device_is_found_and_timed() -> None:
    assert find_device("auto").type == find_device("cuda:0").type == "cuda"
    assert fast_dtype(torch.device("cuda")) in (torch.bfloat16, torch.float32)
    plan = make_plan(fingerprint(ball_dataset(2)), Budget(steps=1, device="cuda"))
    assert 0 < step_seconds(plan.network, plan.patch_size, plan.batch_size, device="cuda") < 10


def test_it_learns(bundle: Bundle) -> None:
    assert bundle.provenance["device"] == "cuda"
    assert bundle.card.scores["ball"] > 0.8
    case = ball_case(99)
    assert case.reference is not None
    scores = evaluate(segment(case.image, bundle, device="cuda").labels, case.reference, metrics=("dice",))
    assert scores.values["ball"]["dice"] > 0.8


def test_the_processor_says_the_same(bundle: Bundle) -> None:
    image = ball_case(7).image
    there = segment(image, bundle, device="cuda", probabilities=True)
    here = segment(image, bundle, device="cpu", probabilities=True)
    assert np.mean(there.labels.array == here.labels.array) > 0.99
    assert there.probabilities is not None
    assert here.probabilities is not None
    assert np.abs(there.probabilities.array - here.probabilities.array).max() < 0.1  # three digits of bfloat16


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = import_module("vesalius.train.fit")
    dataset = ball_dataset(4)
    plan = replace(make_plan(fingerprint(dataset), Budget(steps=6, device="cuda")), batch_size=2)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(home, "_CHECKPOINT_S", 0.0)
        patch.setattr(home, "curves", interrupt)  # drawn after each checkpoint
        fit(dataset, plan, tmp_path / "out", device="cuda")
    assert (tmp_path / "out" / ".fit" / "checkpoint.pt").is_file()
    assert fit(dataset, plan, tmp_path / "out", device="cuda", resume=True).provenance["steps"] == 6
