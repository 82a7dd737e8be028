"""OpenVINO's files say what the bundle says, in full and in half precision and in 8 bits."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from phantoms import ball_case, ball_dataset

from vesalius.export import export
from vesalius.export.openvino import load, load_in
from vesalius.predict import load_segmenter


@pytest.fixture(scope="module")
def written(flat, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("openvino") / "out"
    report = export(flat, "openvino", folder, case=ball_case(1, shape=(32, 24)).image)
    assert report.parity[""].label_agreement >= 0.9999
    assert report.parity[""].max_difference < 1e-3
    assert report.runtime.startswith("openvino 20")
    return folder


def test_two_files_and_names(written):
    from openvino import Core

    assert {path.name for path in written.iterdir()} == {"model.xml", "model.bin", "vesalius.json"}
    graph = Core().read_model(written / "model.xml")
    assert (graph.input(0).any_name, graph.output(0).any_name) == ("image", "logits")
    assert str(graph.input(0).partial_shape) == "[?,1,?,?]"


def test_any_size_will_do(written, flat):
    """Also where the graph is compiled as it is, for sizes that are known when an image comes."""
    from openvino import Core

    compiled = Core().compile_model(str(written / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    networks = load_segmenter(flat, device="cpu").networks
    for shape in ((1, 1, 16, 16), (3, 1, 24, 40)):
        windows = torch.randn(shape)
        with torch.no_grad():
            expected = sum(network(windows) for network in networks) / 2
        torch.testing.assert_close(torch.from_numpy(compiled(windows.numpy())[0]), expected, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(load(written / "model.xml")(windows), expected, atol=1e-3, rtol=1e-3)


def test_what_bfloat16_changes_is_told(written):
    from openvino import Core

    (note,) = json.loads((written / "vesalius.json").read_text())["notes"]
    if "BF16" not in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert "not tried here" in note
        return
    assert "of labels agree" in note
    windows = torch.randn(1, 1, 16, 16)
    exact, fast = load(written / "model.xml")(windows), load_in(written / "model.xml", "bf16")(windows)
    assert 0 < float((exact - fast).abs().max()) < 0.2


def test_half_precision_halves_the_weights(flat, written, tmp_path, undecided):
    cases = ball_dataset(2, shape=(32, 24))
    report = export(flat, "openvino", tmp_path / "out", precision="fp16", cases=cases, accepted_loss=1.0)
    half, full = ((folder / "model.bin").stat().st_size for folder in (tmp_path / "out", written))
    assert half < 0.55 * full
    assert report.loss is not None
    assert min(report.loss.dice_to_fp32.values()) > 0.95


def test_eight_bits(flat, written, tmp_path, undecided):
    if find_spec("nncf") is None:
        pytest.skip("NNCF is not installed")
    cases = ball_dataset(4, shape=(32, 24))
    report = export(flat, "openvino", tmp_path / "out", precision="int8", cases=cases, accepted_loss=1.0)
    assert "FakeQuantize" in (tmp_path / "out" / "model.xml").read_text()
    assert (tmp_path / "out" / "model.bin").stat().st_size < 0.5 * (written / "model.bin").stat().st_size
    assert report.loss is not None
    assert report.loss.cases == ("case1", "case3")
    assert report.parity[""].max_difference > 1e-3


def test_nothing_is_reported_to_anybody(written):
    """OpenVINO and NNCF send reports on their use unless they are kept from it."""
    load(written / "model.xml")
    assert sys.modules.get("openvino_telemetry") is None
