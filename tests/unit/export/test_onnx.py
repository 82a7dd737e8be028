"""An ONNX file says what the bundle says; one that points outside itself is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import ball_case, ball_dataset

from vesalius.bundle import Bundle
from vesalius.errors import BundleError, MissingDependencyError
from vesalius.export import export
from vesalius.export.onnx import load, refuse_external_data
from vesalius.predict import load_segmenter

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")


@pytest.fixture(scope="module")
def written(flat: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx") / "out"
    report = export(flat, "onnx", folder, case=ball_case(1, shape=(32, 24)).image)
    assert report.parity[""].label_agreement >= 0.9999
    assert report.parity[""].max_difference < 1e-4
    return folder


def test_one_file_that_is_sound(written):
    assert {path.name for path in written.iterdir()} == {"model.onnx", "vesalius.json"}
    model = onnx.load(str(written / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["logits"]
    dims = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims[1] == 1
    assert all(isinstance(dims[axis], str) for axis in (0, 2, 3))
    assert {one.domain for one in model.opset_import} == {""}


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (3, 1, 24, 40)])
def test_any_size_will_do(shape, written, flat):
    windows = torch.randn(shape)
    with torch.no_grad():
        logits = [network(windows) for network in load_segmenter(flat, device="cpu").networks]
    torch.testing.assert_close(load(written / "model.onnx")(windows), sum(logits) / 2, atol=1e-4, rtol=1e-4)


def test_a_solid_one_in_half_precision(solid, tmp_path, undecided):
    report = export(solid, "onnx", tmp_path / "out", precision="fp16", cases=ball_dataset(2), accepted_loss=1.0)
    model = onnx.load(str(tmp_path / "out" / "model.onnx"))
    kinds = {tensor.data_type for tensor in model.graph.initializer if np.prod(tensor.dims) > 100}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert report.loss is not None
    assert min(report.loss.dice_to_fp32.values()) > 0.95


def test_eight_bits(flat, written, tmp_path, undecided):
    cases = ball_dataset(4, shape=(32, 24))
    report = export(flat, "onnx", tmp_path / "out", precision="int8", cases=cases, accepted_loss=1.0)
    model = onnx.load(str(tmp_path / "out" / "model.onnx"))
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("DequantizeLinear") > operators.count("Conv") > 0
    assert (tmp_path / "out" / "model.onnx").stat().st_size < (written / "model.onnx").stat().st_size
    assert report.loss is not None
    assert set(report.loss.dice_to_fp32) == {"ball", "core"}


# --- what is refused --------------------------------------------------------------------------------------------------


def with_external(path: Path, location: str, *, where: str) -> Path:
    """A model whose weights lie in another file: as an initialiser, an attribute, in a subgraph or a function."""
    from onnx import TensorProto, helper

    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [4])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [4])
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    nodes, initialisers, functions = [helper.make_node("Add", ["image", "w"], ["logits"])], [], []
    if where == "initialiser":
        initialisers = [tensor]
    elif where == "attribute":
        nodes = [constant, *nodes]
    elif where == "subgraph":
        yes = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("y", TensorProto.BOOL, [], [True]))
        inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, [4])])
        nodes = [yes, helper.make_node("If", ["yes"], ["logits"], then_branch=inner, else_branch=inner)]
    else:
        opset = [helper.make_opsetid("", 18)]
        functions = [helper.make_function("mine", "Weights", [], ["w"], [constant], opset)]
        nodes = [helper.make_node("Weights", [], ["w"], domain="mine"), *nodes]
    graph = helper.make_graph(nodes, "graph", [image], [logits], initialisers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    path.write_bytes(helper.make_model(graph, functions=functions, opset_imports=opsets).SerializeToString())
    return path


@pytest.mark.parametrize("where", ["initialiser", "attribute", "subgraph", "function"])
@pytest.mark.parametrize("location", ["../secret.bin", "{absolute}", "inside.bin", "link.bin"])
def test_weights_in_other_files_are_refused(where, location, tmp_path):
    """Wherever the reference stands and wherever it leads: nothing is read from there, nothing run, nothing written."""
    folder = tmp_path / "model"
    folder.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (folder / "inside.bin").write_bytes(secret.read_bytes())
    (folder / "link.bin").symlink_to(secret)
    path = with_external(folder / "model.onnx", location.format(absolute=secret), where=where)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BundleError, match=r"model\.onnx keeps weights in other files, which may lie anywhere"):
        load(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_without_other_files_runs(tmp_path):
    """The refusal is for the reference, not for the model."""
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones(4, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "w"], ["logits"])],
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [4])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert load(tmp_path / "model.onnx")(torch.zeros(4)).tolist() == [1.0] * 4


@pytest.mark.parametrize("raw", [b"\x80\x04K\x01.", b"Dear colleague", b"\xff" * 64])
def test_what_is_no_onnx_file_is_refused(raw, tmp_path):
    (tmp_path / "model.onnx").write_bytes(raw)
    with pytest.raises(BundleError, match=r"model\.onnx is not an ONNX file"):
        refuse_external_data(tmp_path / "model.onnx")


def test_without_onnx_the_extra_is_named(flat, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vesalius\[export\]'"):
        export(flat, "onnx", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
