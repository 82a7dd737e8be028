"""``vesalius export``: from a bundle to a folder that another program runs, with its figures."""

import json
from pathlib import Path

import pytest
import torch
from phantoms import ball_case, ball_dataset, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.export import openvino
from vesalius.image import LabelMap
from vesalius.io import read, write
from vesalius.plan import prepare
from vesalius.predict import segment
from vesalius.transform import resample


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = untrained_bundle(ball_dataset(2), patch_size=(8, 16, 8))
    return made.save(tmp_path_factory.mktemp("export") / "balls")


def test_a_case_is_checked_and_the_figures_are_told(bundle, tmp_path, capsys):
    write(ball_case(1).image, tmp_path / "case.nii.gz")
    arguments = ["export", str(bundle), "--to", "torchscript", "-o", str(tmp_path / "out")]
    assert main([*arguments, "--case", str(tmp_path / "case.nii.gz"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["output"] == str(tmp_path / "out")
    assert told["parity"][""]["source"] == "a case"
    assert told["parity"][""]["label_agreement"] == 1.0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.pt", "vesalius.json"]


def test_people_are_told_in_lines(bundle, tmp_path, capsys):
    assert main(["export", str(bundle), "--to", "torchscript", "-o", str(tmp_path / "out")]) == 0
    first, check = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path / 'out'}  torchscript, fp32, 1 files"
    assert check.startswith(f"check          torch {torch.__version__}: 100.0000% of the labels, logits within ")
    assert check.endswith("on 4 windows of noise")


def test_what_goes_wrong_is_told_and_leaves_nothing(bundle, tmp_path, capsys):
    out = ["-o", str(tmp_path / "out")]
    assert main(["export", str(bundle), "--to", "onyx", *out]) == 2
    assert main(["export", str(bundle), "--to", "torchscript", "--quantise", "int8", *out]) == 1
    assert main(["export", str(bundle), "--to", "onnx", "--quantise", "int8", *out]) == 1
    assert main(["export", str(tmp_path / "nowhere"), "--to", "onnx", *out]) == 1
    case = tmp_path / "flat.tif"
    write(ball_case(1, shape=(24, 24)).image, case)
    assert main(["export", str(bundle), "--to", "torchscript", "--case", str(case), *out]) == 1
    told = capsys.readouterr().err
    for words in ("invalid choice: 'onyx'", "written in fp32, not in int8", "--calibrate", "no such bundle", "is 2D"):
        assert words in told
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.glob(".part-*")) == []


def test_a_real_case_by_hand(shared_data, tmp_path):
    """The artefact, the description and OpenVINO give the label map that `vesalius segment` gives."""
    image_path = shared_data / "msd_hippocampus" / "images" / "hippocampus_001.nii.gz"
    command = ["export", "hippocampus", "--to", "openvino", "--case", str(image_path), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    told = json.loads((tmp_path / "out" / "vesalius.json").read_text())
    assert told["check"]["parity"][""]["label_agreement"] == 1.0
    # Without windows, which an image of this size does not need: the axes are free, in multiples of what is told.
    image, plan = read(image_path), Bundle.load("hippocampus").plan
    prepared = prepare(image, plan)
    steps = [told["input"]["free_axes"][axis]["multiple_of"] for axis in told["input"]["axes"][2:]]
    sizes = [max(size, wanted) for size, wanted in zip(prepared.grid.shape, told["windows"]["patch_size"], strict=True)]
    assert all(size % step == 0 for size, step in zip(sizes, steps, strict=True))
    window = torch.zeros(1, 1, *sizes)
    before = [(size - n) // 2 for size, n in zip(sizes, prepared.grid.shape, strict=True)]
    inside = tuple(slice(b, b + n) for b, n in zip(before, prepared.grid.shape, strict=True))
    window[(0, 0, *inside)] = torch.from_numpy(prepared.array[0])
    logits = openvino.load(tmp_path / "out" / told["artefact"])(window)[(0, slice(None), *inside)]
    values = torch.tensor([channel["values"][0] for channel in told["output"]["channels"]], dtype=torch.uint8)
    found = LabelMap(values[logits.argmax(0)].numpy(), prepared.grid, plan.labels)
    expected = segment(image, "hippocampus", mirror=False, backend="torch-float32", device="cpu").labels
    found = resample(found, image.grid, interpolation="nearest")
    assert float((found.array == expected.array).mean()) > 0.9999
