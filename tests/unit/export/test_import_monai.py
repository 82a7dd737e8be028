"""MONAI's bundles: what is taken from them, and what is refused before anything is done."""

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai_bundles import NETWORKS, network_of, write_bundle

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.errors import BundleError
from vesalius.export.monai import import_monai
from vesalius.export.scripted import read_scripted
from vesalius.nets import MonaiUNetSpec, UNetSpec
from vesalius.transform import Normalisation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "unet", "UNet", network_of("UNet"))


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    place = write_bundle(tmp_path_factory.mktemp("scripted"), "UNet", network_of("UNet"), scripted=True)
    return (place / "models" / "model.ts").read_bytes()


def change_config(folder: Path, *keys: str | int, value: Any, file: str = "inference") -> None:
    """Set a value inside a configuration."""
    path = folder / "configs" / f"{file}.json"
    raw = json.loads(path.read_text())
    inner = raw
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(raw))


def test_what_is_taken_over(folder: Path) -> None:
    bundle = import_monai(folder)
    plan, how = bundle.plan, bundle.plan.preparation
    assert isinstance(plan.network, MonaiUNetSpec)
    assert plan.channels == ("CT",)
    assert plan.labels.names == ("liver", "tumour")
    assert plan.spacing_mm == (1.5, 1.4, 1.2)
    assert plan.normalisation == (Normalisation("fixed", mean=-50.0, std=200.0, lower=-50.0, upper=150.0),)
    assert (plan.patch_size, plan.overlap, plan.mirror_axes) == ((16, 16, 16), 0.5, ())
    assert (how.orientation, how.crop, how.normalised, how.extent) == ("RAS", "none", "after", "anchored")
    assert (how.window_weight, how.window_places, how.through_plane) == ("constant", "regular", "neither")


def test_a_dynunet_is_our_own_network(tmp_path: Path) -> None:
    bundle = import_monai(write_bundle(tmp_path, "DynUNet", network_of("DynUNet")))
    assert isinstance(bundle.plan.network, UNetSpec)
    assert bundle.plan.network.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 1))


def test_a_zip_is_as_good_as_a_folder(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "unet.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for path in folder.rglob("*.*"):
            made.write(path, Path("unet") / path.relative_to(folder))
        made.writestr("../../outside", "no file of this name is ever written")
    ours, theirs = import_monai(archive), import_monai(folder)
    assert ours.plan == theirs.plan
    assert all(np.array_equal(ours.weights[name], array) for name, array in theirs.weights.items())
    assert not (tmp_path.parent / "outside").exists()


def test_numbers_out_of_a_scripted_network(folder: Path, scripted: bytes) -> None:
    expected = import_monai(folder).weights
    (folder / "models" / "model.pt").unlink()
    (folder / "models" / "model.ts").write_bytes(scripted)
    found = import_monai(folder).weights
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def test_the_command_writes_a_bundle(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bundle"
    assert main(["import", "monai", str(folder), "-o", str(out)]) == 0
    assert "a bundle: liver, tumour in CT" in capsys.readouterr().out
    assert Bundle.load(out).plan == import_monai(folder).plan
    assert main(["import", "monai", str(folder), "-o", str(out), "--folds", "0"]) == 1
    assert "--folds is for nnU-Net's models" in capsys.readouterr().err


NORMALISED = ("preprocessing", "transforms", 4)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ({"_target_": "NormalizeIntensityd", "nonzero": True, "channel_wise": True}, Normalisation("z_score_nonzero")),
        ({"_target_": "NormalizeIntensityD"}, Normalisation("z_score")),
        ({"_target_": "ScaleIntensityd"}, Normalisation("range")),
        (
            {"_target_": "NormalizeIntensityd", "subtrahend": 5, "divisor": 2},
            Normalisation("fixed", mean=5.0, std=2.0, lower=-3e38, upper=3e38),
        ),
    ],
)
def test_other_normalisations(folder: Path, transform: dict[str, Any], expected: Normalisation) -> None:
    change_config(folder, *NORMALISED, value={**transform, "keys": "image"})
    assert import_monai(folder).plan.normalisation == (expected,)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("network_def",), "$torch.load('x')", "has no network_def"),
        (("network_def", "_target_"), "os.system", "unknown MONAI network 'system'"),
        (("network_def", "channels"), "$__import__('os').system('x')", "would have to be evaluated"),
        (("network_def", "channels"), "@nowhere", "refers to nothing"),
        (("network_def", "channels"), "%other.json#channels", "would have to be evaluated"),
        (("network_def", "channels"), [10**9, 8, 8], "whole numbers"),
        (("network_def", "channels"), [4] * 1000, "at most 16"),
        (("network_def", "num_res_units"), 10**9, "num_res_units"),
        (("network_def", "spatial_dims"), 4, "spatial_dims"),
        (("network_def", "kernel_size"), 4, "odd"),
        (("network_def", "norm"), "layer", "norm must be one of"),
        (("network_def", "norm"), ["group", {"num_groups": 2}], "norm must be one of"),
        (("network_def", "adn_ordering"), "AND", "adn_ordering = 'AND' cannot be expressed"),
        (("network_def", "surprise"), 1, "surprise"),
        (("roi",), "@roi", "lead to each other"),
        (("inferer", "roi_size"), "$[96] * 3", "would have to be evaluated"),
        (("inferer", "roi_size"), [10**9] * 3, "roi_size"),
        (("inferer", "roi_size"), [15, 16, 16], "multiple of the network's stride"),
        (("inferer", "overlap"), 1.0, "overlap"),
        (("inferer", "_target_"), "SimpleInferer", "must be a SlidingWindowInferer"),
        (("preprocessing",), "$[]", "must be a Compose"),
        (("preprocessing", "transforms", 2, "axcodes"), "PIR", "only RAS and LPS"),
        (("preprocessing", "transforms", 3, "pixdim"), "$[1, 1, 1]", "would have to be evaluated"),
        (("preprocessing", "transforms", 3, "scale_extent"), True, "scale_extent"),
        (("preprocessing", "transforms", 3, "mode"), "nearest", "'nearest' cannot be expressed"),
        ((*NORMALISED, "a_max"), -60, "a_min < a_max"),
        ((*NORMALISED, "_target_"), "CropForegroundd", "CropForegroundd before the network"),
        ((*NORMALISED, "_target_"), "$lambda x: x", "cannot be expressed"),
        (
            ("postprocessing", "transforms", 0),
            {"_target_": "Activationsd", "sigmoid": True},
            "don't exclude each other",
        ),
        (("postprocessing", "transforms", 2, "_target_"), "KeepLargestConnectedComponentd", "behind the network"),
    ],
)
def test_configurations_that_cannot_be_expressed_are_refused(
    folder: Path, keys: tuple[str | int, ...], value: Any, words: str
) -> None:
    change_config(folder, *keys, value=value)
    with pytest.raises(BundleError, match=words):
        import_monai(folder)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("DynUNet", {"kernel_size": [[3, 3, 1], 3, 3]}, "kernels that differ"),
        ("DynUNet", {"upsample_kernel_size": [2, 2]}, "upsample_kernel_size"),
        ("DynUNet", {"res_block": True}, "res_block = True"),
        ("SegResNet", {"upsample_mode": "deconv"}, "upsample_mode"),
        ("SwinUNETR", {"feature_size": 3072}, "feature_size"),
        ("SwinUNETR", {"depths": [2, 2, 2, 4000]}, "depths"),
        ("UNETR", {"img_size": [4096, 4096, 4096]}, "img_size"),
        ("UNETR", {"hidden_size": 10**6}, "hidden_size"),
    ],
)
def test_networks_that_cannot_be_expressed_are_refused(
    tmp_path: Path, name: str, change: dict[str, Any], words: str
) -> None:
    folder = write_bundle(tmp_path, "UNet", network_of("UNet"))
    change_config(folder, "network_def", value={"_target_": name, **NETWORKS[name], **change})
    with pytest.raises(BundleError, match=words):
        import_monai(folder)


def test_names_that_are_not_there_are_made_up(folder: Path) -> None:
    change_config(folder, "network_data_format", "outputs", "pred", value={}, file="metadata")
    change_config(folder, "network_data_format", "inputs", "image", "channel_def", value={"0": "\x00"}, file="metadata")
    plan = import_monai(folder).plan
    assert (plan.channels, plan.labels.names) == (("channel 0",), ("label 1", "label 2"))


def test_files_that_are_missing_or_damaged_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        import_monai(tmp_path / "nowhere")
    (tmp_path / "noise.zip").write_bytes(b"PK nothing")
    with pytest.raises(BundleError, match="neither a folder nor an undamaged zip"):
        import_monai(tmp_path / "noise.zip")
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(BundleError, match="there is neither"):
        import_monai(folder)
    (folder / "configs" / "inference.json").write_text("[" * 100_000)
    with pytest.raises(BundleError, match="is not JSON"):
        import_monai(folder)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    torch.save({"model": network_of("SegResNet").state_dict()}, folder / "models" / "model.pt")
    with pytest.raises(BundleError, match="is missing: these are not weights of the network described"):
        import_monai(folder)


class Runs:
    """What a hostile pickle would have called."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_weights_that_would_run_code_are_refused(folder: Path, tmp_path: Path) -> None:
    mark, out = tmp_path / "it ran", tmp_path / "bundle"
    torch.save({"model": Runs(mark)}, folder / "models" / "model.pt")
    assert main(["import", "monai", str(folder), "-o", str(out)]) == 1
    assert not mark.exists()
    assert not out.exists()


def rewritten(archive: bytes, path: Path, part: str, data: bytes) -> bytes:
    """A TorchScript archive with another content of a part."""
    path.write_bytes(archive)
    with zipfile.ZipFile(path) as old:
        parts = {info.filename: old.read(info) for info in old.infolist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, held in parts.items():
            new.writestr(name, data if name.endswith(f"/{part}") else held)
    return path.read_bytes()


# Pickles of protocol 2: a module is made of its name, (), and its content.
MODULE = b"\x80\x02c__torch__\nM\n)\x81"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps(Runs(Path("it ran")), 2), "asks to call"),
        (b"\x80\x02cos\nsystem\n)\x81.", "asks to make"),
        (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "asks to call"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "uses STACK_GLOBAL"),
        (b"\x80\x02K\x01.", "holds no module"),
        (MODULE, "damaged"),
        (MODULE + b"}(X\x01\x00\x00\x00ah\x7fub.", "damaged"),
        # A module that holds itself.
        (MODULE + b"q\x00}(X\x01\x00\x00\x00ah\x00ub.", "hold each other"),
    ],
)
def test_scripted_networks_that_are_something_else_are_refused(
    scripted: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match=words):
        read_scripted(rewritten(scripted, tmp_path / "model.ts", "data.pkl", data), "model.ts")
    assert not (tmp_path / "it ran").exists()


def test_tensors_that_reach_beyond_their_storage_are_refused(scripted: bytes, tmp_path: Path) -> None:
    small = rewritten(scripted, tmp_path / "model.ts", "data/0", bytes(8))
    with pytest.raises(BundleError, match="reaches beyond its storage"):
        read_scripted(small, "model.ts")


def test_archives_that_are_compressed_or_noise_are_refused(scripted: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.ts"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(1 << 20))
    for data in (path.read_bytes(), b"", scripted[:2000]):
        with pytest.raises(BundleError, match=r"model\.ts"):
            read_scripted(data, "model.ts")
