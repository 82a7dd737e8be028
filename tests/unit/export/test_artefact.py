"""Exporting: a folder that says what it holds appears, or none."""

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import as_cascade, ball_case, ball_dataset, drawn_bundle, for_regions
from torch import Tensor

from vesalius.bundle.lineage import find_bundles, patients_of, read_provenance
from vesalius.errors import DataError, PlanError, VesaliusError
from vesalius.export import ExportReport, export, targets, torchscript
from vesalius.export.artefact import case_windows
from vesalius.export.parity import windows_of
from vesalius.export.quantise import split
from vesalius.export.targets import TARGETS, Artefact, Model, find_target
from vesalius.nets import RecurrentUNetSpec, SlicesSpec, UNetSpec
from vesalius.plan import prepare
from vesalius.predict import load_segmenter
from vesalius.predict.stages import coarse_classes, with_coarse

PLANE = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))


def description(folder: Path) -> dict:
    return json.loads((folder / "vesalius.json").read_text())


def loaded(path: Path) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is being retired
        return torch.jit.load(path)


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_offers_what_a_target_does(name):
    target = find_target(name)
    assert "fp32" in target.PRECISIONS
    assert target.RUNTIME
    assert all(callable(getattr(target, one)) for one in ("refuses", "write", "load"))


def test_an_unknown_target_is_told(solid, tmp_path):
    with pytest.raises(PlanError, match="unknown export target 'onyx': did you mean 'onnx'"):
        export(solid, "onyx", tmp_path / "out")


# --- what is written --------------------------------------------------------------------------------------------------


def test_the_folder_says_what_it_holds(solid, tmp_path):
    report = export(solid, "torchscript", tmp_path / "out", case=ball_case(1).image)
    assert isinstance(report, ExportReport)
    told = description(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.pt", "vesalius.json"}
    for name, sha256 in told["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == sha256
    assert (told["format"], told["version"], told["target"], told["artefact"]) == (
        "vesalius export",
        1,
        "torchscript",
        "model.pt",
    )
    assert told["check"]["parity"] == report.to_dict()["parity"]
    assert told["check"]["parity"][""]["source"] == "a case"
    assert report.parity[""].label_agreement == 1.0
    assert report.parity[""].max_difference < 1e-5
    assert told["versions"]["torch"] == torch.__version__
    assert str(tmp_path) not in json.dumps(told)


def test_who_took_part_stays_known_and_who_withdrew(solid, tmp_path):
    marked = {"lineage": [{"register": "r1", "purpose": "training", "patients": ["a0", "b1"]}]}
    marked["withdrawn"] = [{"register": "r1", "at": "2026-01-01", "patients": ["b1"]}]
    export(replace(solid, provenance={**marked, "held_out": ["case7"]}), "torchscript", tmp_path / "out")
    assert description(tmp_path / "out")["provenance"] == marked
    assert [patients_of(read_provenance(place), "r1") for place in find_bundles(tmp_path)] == [{"a0", "b1"}]
    export(solid, "torchscript", tmp_path / "other")
    assert description(tmp_path / "other")["provenance"] == {}


def test_without_a_case_noise_is_compared(solid, tmp_path):
    assert export(solid, "torchscript", tmp_path / "out").parity[""].source == "noise"


def test_what_was_written_is_the_network(solid, tmp_path):
    """Without Vesalius: only torch, and what the description says."""
    export(solid, "torchscript", tmp_path / "out")
    network = loaded(tmp_path / "out" / "model.pt")
    x = torch.randn(3, 1, 16, 8, 12)
    (reference,) = load_segmenter(solid, device="cpu").networks
    with torch.no_grad():
        torch.testing.assert_close(network(x), reference(x.contiguous()), atol=1e-4, rtol=1e-4)


def test_members_become_one_network(flat, tmp_path):
    export(flat, "torchscript", tmp_path / "out")
    network = loaded(tmp_path / "out" / "model.pt")
    x = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        logits = [one(x) for one in load_segmenter(flat, device="cpu").networks]
        torch.testing.assert_close(network(x), (logits[0] + logits[1]) / 2, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(logits[0], logits[1], atol=1e-2)
    assert description(tmp_path / "out")["members"] == 2


def test_all_parts_of_a_bundle_are_written(solid, tmp_path):
    """A cascade beside a partner: each part is a network of its own; the fine stage is checked on what it sees."""
    fine = as_cascade(solid.plan)
    whole = replace(
        drawn_bundle(fine, seed=2), coarse=solid, partners=(drawn_bundle(solid.plan, seed=3, name="partner"),)
    )
    case = ball_case(1).image
    report = export(whole, "torchscript", tmp_path / "out", case=case)
    assert set(report.parity) == {"", "coarse", "partner-1"}
    assert set(report.files) == {"model.pt", "coarse/model.pt", "partner-1/model.pt"}
    told = description(tmp_path / "out")
    assert told["parts"]["partner-1"]["card"]["name"] == "partner"
    assert told["parts"]["coarse"]["artefact"] == "coarse/model.pt"
    assert told["input"]["shape"][1] == 3
    # By hand, as the description says.
    segmenter = load_segmenter(whole, device="cpu", backend="torch-float32")
    assert segmenter.coarse is not None
    prepared = prepare(case, fine)
    seen = with_coarse(prepared, coarse_classes(case, segmenter.coarse, prepared.grid), fine).array
    windows = case_windows(case, segmenter)
    assert windows[0].shape[1] == 3
    for window, expected in zip(windows, windows_of(torch.from_numpy(seen), fine), strict=True):
        assert torch.equal(window, expected)


@pytest.mark.parametrize(
    "network",
    [SlicesSpec(inner=replace(PLANE, in_channels=3), axis=2, context=1), RecurrentUNetSpec(inner=PLANE, axis=0)],
    ids=["2.5D", "recurrent"],
)
def test_networks_over_slices(network, solid, tmp_path):
    plan = replace(solid.plan, configuration="2.5d", network=network)
    report = export(drawn_bundle(plan), "torchscript", tmp_path / "out")
    assert report.parity[""].label_agreement == 1.0


def test_regions(solid, tmp_path):
    export(drawn_bundle(for_regions(solid.plan)), "torchscript", tmp_path / "out")
    assert description(tmp_path / "out")["output"]["activation"] == "sigmoid"


# --- what is not written ----------------------------------------------------------------------------------------------


class Lying:
    """A target whose artefact differs from the network in one way."""

    PRECISIONS = ("fp32", "int8")
    RUNTIME = "torch"

    def __init__(self, change) -> None:
        self.change = change

    def refuses(self, bundle) -> str | None:
        return None

    def write(self, model: Model, folder: Path) -> Artefact:
        return torchscript.write(model, folder)

    def load(self, path: Path):
        run = torchscript.load(path)
        return lambda windows: self.change(run, windows)


def only_its_own_size(run, windows: Tensor) -> Tensor:
    if len(windows) > 1:
        raise IndexError("this runtime has errors of its own")
    return run(windows)


def interrupted(run, windows: Tensor) -> Tensor:
    raise KeyboardInterrupt("by hand")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda run, windows: run(windows) + 0.1, PlanError, "differs from the bundle by up to 0.1 in a logit"),
        (lambda run, windows: run(windows).flip(1), PlanError, "nothing was written"),
        (only_its_own_size, PlanError, r"does not take windows of the size \(2, 1, 12, 20, 12\)"),
        (interrupted, KeyboardInterrupt, "by hand"),
    ],
    ids=["shifted", "other labels", "one size", "interrupted"],
)
def test_what_does_not_say_the_same_leaves_nothing_behind(change, error, words, solid, tmp_path, monkeypatch):
    monkeypatch.setattr("vesalius.export.artefact.find_target", lambda name: Lying(change))
    with pytest.raises(error, match=words):
        export(solid, "torchscript", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced(solid, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(VesaliusError, match="cannot write the folder out: it is there already"):
        export(solid, "torchscript", tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_what_cannot_be_is_refused_before_anything_is_computed(solid, tmp_path, monkeypatch):
    monkeypatch.setattr("vesalius.export.artefact.load_segmenter", None)
    with pytest.raises(PlanError, match="torchscript is written in fp32, not in fp16"):
        export(solid, "torchscript", tmp_path / "out", precision="fp16")
    with pytest.raises(DataError, match=r"int8 must be calibrated on real cases.*--calibrate"):
        export(solid, "onnx", tmp_path / "out", precision="int8")
    cascade = replace(drawn_bundle(as_cascade(solid.plan)), coarse=solid)
    with pytest.raises(PlanError, match="monai-bundle cannot take this bundle: it holds several segmenters"):
        export(cascade, "monai-bundle", tmp_path / "out")
    large = replace(solid, members=({"weight": np.broadcast_to(np.float32(0), (1 << 30,))},))
    with pytest.raises(PlanError, match=r"its weights take 4\.0 GiB, and one ONNX file holds 2"):
        export(large, "onnx", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_a_target_refuses_is_found(solid, tmp_path, monkeypatch):
    partner = drawn_bundle(solid.plan, name="partner")

    class Choosy(Lying):
        def refuses(self, bundle) -> str | None:
            return "I do not like it" if bundle.card.name == "partner" else None

    monkeypatch.setattr("vesalius.export.artefact.find_target", lambda name: Choosy(None))
    with pytest.raises(PlanError, match="cannot take this bundle: I do not like it"):
        export(replace(solid, partners=(partner,)), "torchscript", tmp_path / "out")


# --- quantisation -----------------------------------------------------------------------------------------------------


def test_cases_to_measure_on_were_not_calibrated_on():
    cases = ball_dataset(20)
    first, rest = split(cases)
    assert (len(first), len(rest)) == (8, 8)
    assert set(first.ids).isdisjoint(rest.ids)
    assert [len(part) for part in split(ball_dataset(1))] == [1, 1]


def worn(run, windows: Tensor) -> Tensor:
    """As if quantisation had lost the core: what was core is ball."""
    logits = run(windows)
    return torch.cat([logits[:, :2], torch.full_like(logits[:, 2:], -100.0)], dim=1)


def test_a_loss_above_what_is_accepted_is_refused(solid, tmp_path, monkeypatch):
    monkeypatch.setattr("vesalius.export.artefact.find_target", lambda name: Lying(worn))
    monkeypatch.setattr("vesalius.export.artefact.check", lambda parity, precision: None)
    with pytest.raises(PlanError, match=r"costs 0\.\d+ of Dice against the references, measured on 1 cases"):
        export(solid, "onnx", tmp_path / "out", precision="int8", cases=ball_dataset(2))
    assert list(tmp_path.iterdir()) == []
    report = export(solid, "onnx", tmp_path / "out", precision="int8", cases=ball_dataset(2), accepted_loss=1.0)
    assert report.loss is not None
    assert report.loss.cases == ("case1",)
    assert report.loss.dice_to_fp32["core"] == 0.0
    assert report.loss.dice["core"] == 0.0
    assert report.loss.largest == max(report.loss.dice_of_fp32[n] - report.loss.dice[n] for n in ("ball", "core"))
    assert description(tmp_path / "out")["check"]["loss"]["dice"] == dict(report.loss.dice)


def test_targets_import_no_runtime():
    assert not hasattr(targets, "torch")
