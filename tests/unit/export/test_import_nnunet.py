"""nnU-Net's folders: what is taken from them, and what is refused before anything is done."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.errors import BundleError
from vesalius.export.checkpoints import read_checkpoint
from vesalius.export.nnunet import import_nnunet
from vesalius.nets import SlicesSpec, UNetSpec
from vesalius.plan.preparation import NNUNET

FIXTURES = Path(__file__).parents[2] / "fixtures" / "nnunet"
CHECKPOINT = "fold_0/checkpoint_final.pth"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "picture", tmp_path / "picture"))


def change_json(path: Path, *keys: str | int, value: Any) -> None:
    """Set a value inside a JSON file."""
    raw = json.loads(path.read_text())
    inner = raw
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(raw))


def change_checkpoint(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    held = dict(read_checkpoint(folder / CHECKPOINT))
    held = {**held, "network_weights": {name: tensor.clone() for name, tensor in held["network_weights"].items()}}
    change(held)
    torch.save(held, folder / CHECKPOINT)


def test_what_is_taken_over() -> None:
    bundle = import_nnunet(FIXTURES / "thick")
    plan = bundle.plan
    assert isinstance(plan.network, UNetSpec)
    # nnU-Net's axes are (x, z, y) here: the coarse one comes first.
    assert plan.spacing_mm == (4.0, 1.1, 1.2)
    assert plan.patch_size == (8, 20, 20)
    assert plan.network.strides[1] == (1, 2, 2)
    assert plan.network.kernels[0] == (1, 3, 3)
    assert plan.preparation == NNUNET
    assert plan.mirror_axes == plan.augmentation.mirror_axes == (0, 1, 2)
    assert plan.normalisation[0].scheme == "ct"
    assert plan.budget.steps == 100 * 250
    assert bundle.card.name == "Dataset001_thick"
    assert bundle.provenance["configuration"] == "3d_fullres"


def test_slices_of_3d_images_keep_their_distance() -> None:
    plan = import_nnunet(FIXTURES / "slices").plan
    assert isinstance(plan.network, SlicesSpec)
    assert plan.network.axis == 1
    assert plan.preparation.own_spacing == (1,)
    assert (plan.patch_size, plan.mirror_axes, plan.configuration) == ((16, 1, 20), (), "2d")


def test_regions_and_the_label_of_what_nobody_looked_at() -> None:
    plan = import_nnunet(FIXTURES / "residual").plan
    assert plan.regions
    assert [output.name for output in plan.outputs] == ["whole", "core", "speck"]
    assert plan.labels.ignore == 4
    assert {how.scheme for how in plan.normalisation} == {"z_score_content"}


def test_folds_become_members() -> None:
    every = import_nnunet(FIXTURES / "plain")
    assert len(every.members) == 2
    one = import_nnunet(FIXTURES / "plain", folds=[1])
    assert one.provenance["folds"] == ["fold_1"]
    name = next(iter(one.weights))
    assert np.array_equal(one.weights[name], every.members[1][name])
    assert not np.array_equal(one.weights[name], every.weights[name])


@pytest.mark.parametrize("folds", [[2], [0, 0], [], "all"])
def test_folds_that_are_not_there(folds: Any) -> None:
    with pytest.raises(BundleError, match=r"there is one of fold_0, fold_1"):
        import_nnunet(FIXTURES / "plain", folds=folds)


def test_the_fold_of_all_cases(folder: Path) -> None:
    (folder / "fold_0").rename(folder / "fold_all")
    assert import_nnunet(folder).provenance["folds"] == import_nnunet(folder, folds="all").provenance["folds"]
    with pytest.raises(BundleError, match="fold_0"):
        import_nnunet(folder, folds=[0])


def test_one_of_several_folders(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "Dataset001"
    for name in ("2d", "3d_fullres"):
        shutil.copytree(folder, data / f"nnUNetTrainer__nnUNetPlans__{name}")
    assert import_nnunet(data, configuration="2d").provenance["configuration"] == "2d"
    with pytest.raises(BundleError, match="name one of these folders, or its configuration"):
        import_nnunet(data)
    with pytest.raises(BundleError, match="of the configuration 2d, not 3d_fullres"):
        import_nnunet(data, configuration="3d_fullres")


def test_the_command_writes_a_bundle(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bundle"
    assert main(["import", "nnunet", str(folder), "-o", str(out), "--folds", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["labels"] == {"ball": 1, "core": 2}
    loaded, direct = Bundle.load(out), import_nnunet(folder)
    assert all(
        np.array_equal(loaded.weights[name], array) for name, array in direct.weights.items()
    )  # to the last digit
    assert main(["import", "nnunet", str(folder), "-o", str(out), "--folds", "x"]) == 1
    assert "--folds must be written like 0,1" in capsys.readouterr().err


# --- what is refused --------------------------------------------------------------------------------------------------


class Runs:
    """What a hostile pickle would have called."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["network_weights", "logging", "trainer_name"])
def test_a_pickle_that_would_run_code_is_refused(folder: Path, tmp_path: Path, place: str) -> None:
    mark, out = tmp_path / "it ran", tmp_path / "bundle"
    change_checkpoint(folder, lambda held: held.update({place: Runs(mark)}))
    with pytest.raises(BundleError, match=r"asks for posix\.mkdir; .* nothing of it was run"):
        import_nnunet(folder)
    assert main(["import", "nnunet", str(folder), "-o", str(out)]) == 1
    assert not mark.exists()
    assert not out.exists()


def test_a_pickle_without_an_archive_is_refused(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    (folder / CHECKPOINT).write_bytes(pickle.dumps(Runs(mark)))
    with pytest.raises(BundleError, match=r"not a file that torch\.save wrote"):
        import_nnunet(folder)
    assert not mark.exists()


def test_an_archive_that_unpacks_to_more_than_itself_is_refused(folder: Path) -> None:
    path = folder / CHECKPOINT
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
        archive.writestr("checkpoint/data/9999", bytes(1 << 22))
    with pytest.raises(BundleError, match="unpack to more than the file holds"):
        import_nnunet(folder)


def test_a_file_that_was_cut_off_is_refused(folder: Path) -> None:
    path = folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(BundleError, match="damaged"):
        import_nnunet(folder)


FIRST = "encoder.stages.0.0.convs.0.conv.weight"


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.zeros(1).expand(6, 3, 3, 3), "claims more numbers than the file holds"),
        (torch.zeros(6, 3, 3, 4), r"is of shape \(6, 3, 3, 4\)"),
        (torch.full((6, 3, 3, 3), torch.nan), "not finite"),
        (torch.zeros(6, 3, 3, 3), "there twice, with different numbers"),
        (torch.zeros(6, 3, 3, 3, dtype=torch.int32), "not real numbers"),
        (torch.zeros(6, 3, 3, 3).to_sparse(), "not a plain tensor"),
        ([1.0], "not a plain tensor"),
    ],
)
def test_tensors_that_cannot_be_weights_are_refused(folder: Path, tensor: Any, words: str) -> None:
    change_checkpoint(folder, lambda held: held["network_weights"].update({FIRST: tensor}))
    with pytest.raises(BundleError, match=words):
        import_nnunet(folder)


def test_missing_and_unknown_tensors_are_refused(folder: Path) -> None:
    change_checkpoint(folder, lambda held: held["network_weights"].update({"decoder.extra": torch.zeros(1)}))
    with pytest.raises(BundleError, match=r"no such tensors: decoder\.extra"):
        import_nnunet(folder)
    change_checkpoint(folder, lambda held: held["network_weights"].clear())
    with pytest.raises(BundleError, match="is missing"):
        import_nnunet(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network_weights": None}, "no network_weights"),
        ({"init_args": {}}, "does not say of which configuration"),
        ({"init_args": {"configuration": "../../../etc"}}, "unknown configuration"),
        ({"inference_allowed_mirroring_axes": (0, 7)}, "different axes of the patch"),
    ],
)
def test_checkpoints_that_say_something_else_are_refused(folder: Path, change: dict[str, Any], words: str) -> None:
    change_checkpoint(folder, lambda held: held.update(change))
    with pytest.raises(BundleError, match=words):
        import_nnunet(folder)


BASE = ("configurations", "base")
NETWORK = (*BASE, "architecture", "arch_kwargs")


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        ((*BASE, "patch_size"), [10**9, 32], "patch_size"),
        ((*BASE, "patch_size"), [4096, 4096, 4096], "larger than any network's"),
        ((*BASE, "patch_size"), [23, 32], "multiple of the network's stride"),
        ((*BASE, "spacing"), [0.0, 1.0], "spacing"),
        ((*BASE, "spacing"), [float("nan"), 1.0], "spacing"),
        ((*BASE, "inherits_from"), "2d", "in a circle"),
        ((*BASE, "normalization_schemes"), ["EvalNormalization"] * 3, "EvalNormalization is not known"),
        ((*BASE, "normalization_schemes"), ["CTNormalization"], "3 channels need as many"),
        ((*BASE, "preprocessor_name"), "Mine", "preprocessor_name"),
        ((*BASE, "previous_stage"), "3d_lowres", "second stage of a cascade"),
        ((*BASE, "resampling_fn_data"), "os.system", "is not known"),
        ((*BASE, "resampling_fn_data_kwargs", "order"), 5, "order"),
        ((*BASE, "resampling_fn_data_kwargs", "surprise"), 1, "surprise"),
        ((*BASE, "architecture", "network_class_name"), "builtins.exec", "unknown nnU-Net network 'exec'"),
        ((*NETWORK, "n_stages"), 10**9, "n_stages"),
        ((*NETWORK, "features_per_stage"), [10**9, 10**9], "features_per_stage"),
        ((*NETWORK, "n_conv_per_stage"), [10**9, 1], "n_conv_per_stage"),
        ((*NETWORK, "kernel_sizes"), [[2, 3], [3, 3]], "odd"),
        ((*NETWORK, "kernel_sizes"), [[3, 3, 3], [3, 3, 3]], "2 numbers a stage"),
        ((*NETWORK, "strides"), [[2, 2], [2, 2]], "steps in its first stage"),
        ((*NETWORK, "norm_op"), "torch.nn.BatchNorm2d", "must be InstanceNorm2d"),
        ((*NETWORK, "norm_op_kwargs"), {"eps": 0.1, "affine": True}, "eps 1e-5"),
        ((*NETWORK, "nonlin_kwargs"), {"negative_slope": 0.3}, "slope of 0.01"),
        ((*NETWORK, "nonlin_first"), True, "nonlin_first"),
        ((*NETWORK, "surprise"), 1, "surprise"),
        (("transpose_backward",), [1, 0, 2], "does not undo"),
        (("transpose_forward",), [0, 0, 3], "transpose_forward"),
        (("image_reader_writer",), "Eval", "read by Eval are not known"),
        (("label_manager",), "Mine", "label_manager"),
        (("dataset_name",), "x" * 1000, "dataset_name"),
        (("configurations",), {}, "unknown configuration"),
    ],
)
def test_plans_that_cannot_be_are_refused(folder: Path, keys: tuple[str, ...], value: Any, words: str) -> None:
    change_json(folder / "plans.json", *keys, value=value)
    with pytest.raises(BundleError, match=words):
        import_nnunet(folder)


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("labels",), {"background": 0, "a": 1, "b": 3}, "without gaps"),
        (("labels",), {"a": 1, "b": 2}, "'background'"),
        (("labels",), {"background": 0, "a\x1b[2J": 1, "b": 2}, "printable"),
        (("labels",), {"background": 0, "a": [1, 2], "b": [2]}, "regions_class_order must have"),
        (("labels", "ignore"), [7], "'ignore' must be a number"),
        (("channel_names",), {"0": "R", "1": "G", "3": "B"}, "numbered from 0"),
        (("channel_names",), {}, "channel_names"),
    ],
)
def test_data_sets_that_cannot_be_are_refused(folder: Path, keys: tuple[str, ...], value: Any, words: str) -> None:
    change_json(folder / "dataset.json", *keys, value=value)
    with pytest.raises(BundleError, match=words):
        import_nnunet(folder)


def test_regions_painted_in_another_order_are_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FIXTURES / "residual", tmp_path / "residual"))
    change_json(folder / "dataset.json", "regions_class_order", value=[2, 1, 3])
    with pytest.raises(BundleError, match=r"leave the values \[1, 2, 3\], and regions_class_order is \[2, 1, 3\]"):
        import_nnunet(folder)


def test_what_is_no_json_is_refused(folder: Path, tmp_path: Path) -> None:
    for text in ("", "[" * 100_000, "[]"):
        (folder / "plans.json").write_text(text)
        with pytest.raises(BundleError, match=r"plans\.json"):
            import_nnunet(folder)
    (folder / "plans.json").unlink()
    with pytest.raises(BundleError, match=r"holds a plans\.json"):
        import_nnunet(folder)
    with pytest.raises(BundleError, match="no such folder"):
        import_nnunet(tmp_path / "nowhere")
