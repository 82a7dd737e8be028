"""A graph that was exported, as the engine of its bundle."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import ball_case, ball_dataset, drawn_bundle, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.errors import BundleError, PlanError
from vesalius.export import export
from vesalius.io import read_labels, write
from vesalius.predict import load_segmenter, segment
from vesalius.predict.backends import find_backend, title_of
from vesalius.predict.backends.exported import read_exported

IMAGE = ball_case(1, shape=(40, 24)).image


@pytest.fixture(scope="module")
def flat() -> Bundle:
    """A 2D U-Net for windows of 16 x 16, of two networks."""
    one = untrained_bundle(ball_dataset(2, shape=(32, 24)), patch_size=(16, 16))
    return drawn_bundle(one.plan, members=2)


@pytest.fixture(scope="module")
def written(flat: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "graph"
    export(flat, "openvino", folder, case=IMAGE)
    return folder


@pytest.fixture
def changed(written: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy whose description says something else."""

    def change(**how: object) -> Path:
        folder = tmp_path / "changed"
        folder.mkdir()
        for file in written.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        told = json.loads((folder / "vesalius.json").read_text())
        (folder / "vesalius.json").write_text(json.dumps(told | how))
        return folder

    return change


def test_it_gives_the_labels_of_the_networks_it_was_made_of(flat, written):
    segmenter = load_segmenter(flat, device="cpu", backend=str(written))
    expected = segment(IMAGE, flat, device="cpu", backend="torch-float32")
    found = segment(IMAGE, segmenter)
    assert (found.labels.array == expected.labels.array).mean() > 0.999
    # A place on this machine has no business in results.
    assert set(segmenter.engines) == {"openvino-fp32"} == {title_of(str(written))}


def test_other_weights_or_members_are_refused(flat, written):
    other = drawn_bundle(flat.plan, members=2, seed=7)
    for segmenter in (
        load_segmenter(other, device="cpu", backend=str(written)),
        load_segmenter(flat, device="cpu", members=(1,), backend=str(written)),
    ):
        with pytest.raises(BundleError, match="exported from other weights than those of this segmenter"):
            segment(IMAGE, segmenter)


def test_a_file_that_was_changed_is_refused(flat, changed):
    folder = changed()
    data = bytearray((folder / "model.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.bin").write_bytes(data)
    with pytest.raises(BundleError, match=r"model\.bin is not the file that was exported"):
        segment(IMAGE, load_segmenter(flat, device="cpu", backend=str(folder)))


def test_names_that_lead_out_of_the_folder_are_refused(changed):
    with pytest.raises(BundleError, match=r"vesalius\.json is damaged"):
        read_exported(changed(artefact="../model.xml", files={"../model.xml": "0"}))


@pytest.mark.parametrize("how", [{"target": "onnx"}, {"parts": {"coarse": {}}}, {"version": 2}])
def test_other_exports_are_refused(changed, how):
    with pytest.raises(BundleError, match="no export of a single network to OpenVINO"):
        read_exported(changed(**how))


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000])
def test_a_damaged_description_is_refused(changed, text):
    folder = changed()
    (folder / "vesalius.json").write_text(text)
    with pytest.raises(BundleError, match=r"vesalius\.json is damaged"):
        read_exported(folder)


def test_a_bundle_of_several_parts_wants_an_engine(flat, written):
    several = replace(flat, partners=(flat,))
    with pytest.raises(PlanError, match="stands for one network"):
        load_segmenter(several, device="cpu", backend=str(written))


def test_neither_an_engine_nor_a_folder(tmp_path):
    with pytest.raises(PlanError, match=r"unknown backend .* or the folder of an export"):
        find_backend(str(tmp_path / "nowhere"))


def test_on_the_command_line(flat, written, tmp_path, capsys):
    flat.save(tmp_path / "bundle", precision="single")
    write(IMAGE, tmp_path / "image.npz")
    command = [
        "segment",
        str(tmp_path / "image.npz"),
        "--bundle",
        str(tmp_path / "bundle"),
        "--device",
        "cpu",
        "--json",
    ]
    assert main([*command, "--backend", str(written), "-o", str(tmp_path / "found.npz")]) == 0
    assert json.loads(capsys.readouterr().out)["images"][0]["backend"] == "openvino-fp32"
    assert main([*command, "--backend", "torch-float32", "-o", str(tmp_path / "right.npz")]) == 0
    found, right = (read_labels(tmp_path / f"{name}.npz").array for name in ("found", "right"))
    assert np.mean(found == right) > 0.999
    assert main([*command, "--backend", "nowhere", "-o", str(tmp_path / "other.npz")]) == 2
    assert "neither auto" in capsys.readouterr().err


def test_resuming_knows_another_graph_of_the_same_name(flat, written, changed, tmp_path, capsys):
    flat.save(tmp_path / "bundle", precision="single")
    (tmp_path / "scans").mkdir()
    write(IMAGE, tmp_path / "scans" / "one.npz")
    folder = changed()
    command = ["segment", str(tmp_path / "scans"), "--bundle", str(tmp_path / "bundle"), "--device", "cpu", "--json"]
    command += ["--backend", str(folder), "-o", str(tmp_path / "found"), "--resume"]
    kept = []
    for notes in ([], [], ["another"]):
        told = json.loads((folder / "vesalius.json").read_text())
        (folder / "vesalius.json").write_text(json.dumps(told | {"notes": notes}))
        assert main(command) == 0
        kept.append(json.loads(capsys.readouterr().out)["images"][0].get("backend") is None)
    assert kept == [False, True, False]
