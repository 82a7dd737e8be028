"""MONAI runs what was exported, and finds what `vesalius segment` finds."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import ball_case, drawn_bundle, for_regions

from vesalius.bundle import Bundle
from vesalius.export import export
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read_labels, write
from vesalius.plan import prepare
from vesalius.plan.preparation import Preparation
from vesalius.predict import segment
from vesalius.transform import KeepLargest, Normalisation, Postprocessing, RemoveSmall, pad, reorient

pytest.importorskip("monai", reason="MONAI is not installed")
pytest.importorskip("ignite", reason="pytorch-ignite is not installed")

SHAPE = (24, 32, 20)
MONAIS = Preparation(
    orientation="RAS",
    interpolation="linear",
    extent="anchored",
    through_plane="neither",
    window_weight="constant",
    window_places="regular",
)


def found_by_monai(
    bundle: Bundle, images: Sequence[Volume], folder: Path, *, ending: str = ".nii.gz"
) -> list[LabelMap]:
    """Export, and let MONAI's own command segment the images."""
    from monai.bundle import run

    report = export(bundle, "monai-bundle", folder / "bundle", case=images[0])
    assert report.parity[""].label_agreement >= 0.9999
    (folder / "images").mkdir()
    for number, image in enumerate(images):
        write(image, folder / "images" / f"image{number}{ending}")
    place = folder / "bundle"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's, of its own future
        run(
            config_file=str(place / "configs" / "inference.json"),
            meta_file=str(place / "configs" / "metadata.json"),
            bundle_root=str(place),
            dataset_dir=str(folder / "images"),
            output_dir=str(folder / "results"),
            device="$torch.device('cpu')",
        )
    labels = bundle.plan.labels
    names = [folder / "results" / f"image{n}_segmentation{ending}" for n in range(len(images))]
    return [read_labels(name, labels) for name in names]


def agreement(bundle: Bundle, image: Volume, found: LabelMap) -> float:
    expected = segment(image, bundle, backend="torch-float32", device="cpu").labels
    assert found.grid.is_close(expected.grid)
    assert len(np.unique(expected.array)) > 1
    return float((found.array == expected.array).mean())


def test_turned_and_padded_images(solid, tmp_path):
    plan = replace(solid.plan, mirror_axes=(0, 2), paired_labels=(solid.plan.labels.values,), patch_size=SHAPE)
    bundle = replace(solid, plan=plan)
    one, other = (ball_case(n, shape=SHAPE).image for n in (1, 2))
    images = [reorient(pad(one, (30, 36, 21)), "PIR"), reorient(other, "RAS")]
    found = found_by_monai(bundle, images, tmp_path)
    assert [agreement(bundle, image, one) >= 0.9999 for image, one in zip(images, found, strict=True)] == [True, True]


def test_regions_label_values_and_the_clean_up(solid, tmp_path):
    labels = Labels.of({"ball": 3, "core": 7}, regions={"whole": (3, 7)})
    plan = replace(for_regions(solid.plan), labels=labels, patch_size=SHAPE)
    steps = Postprocessing((KeepLargest(name="whole"), RemoveSmall(least=0.05)))
    bundle = replace(drawn_bundle(plan, seed=4), postprocessing=steps)
    image = ball_case(1, shape=SHAPE).image
    (found,) = found_by_monai(bundle, [image], tmp_path)
    assert set(np.unique(found.array)) <= {0, 3, 7}
    assert agreement(bundle, image, found) >= 0.9999


def test_resampled_by_monais_own_customs(solid, tmp_path):
    """Where a bundle prepares images as MONAI does, nothing is left to differ but rounding."""
    bundle = replace(solid, plan=replace(solid.plan, preparation=MONAIS, spacing_mm=(1.3, 0.9, 1.1)))
    image = ball_case(1, shape=SHAPE, spacing=(1.0, 1.2, 1.4)).image
    (found,) = found_by_monai(bundle, [image], tmp_path)
    assert agreement(bundle, image, found) >= 0.999
    notes = json.loads((tmp_path / "bundle" / "vesalius.json").read_text())["notes"]
    assert len(notes) == 1  # what it takes to run it; nothing of differences


def test_pictures(flat, tmp_path):
    array = np.clip(ball_case(1, shape=(32, 24)).image.array / 4, 0, 255).astype(np.uint8)
    image = Volume(array, Grid.from_spacing((32, 24), (1.0, 1.0)), Meta(calibrated=False))
    bundle = replace(flat, plan=replace(flat.plan, patch_size=(32, 24)))
    (found,) = found_by_monai(bundle, [image], tmp_path, ending=".png")
    assert agreement(bundle, image, found) >= 0.9999


def test_channels_of_different_scales(solid, tmp_path):
    """The preparation alone, in MONAI's words and in ours."""
    from monai.bundle import ConfigParser

    schemes = (
        Normalisation("ct", mean=300.0, std=50.0, lower=250.0, upper=390.0),
        Normalisation("z_score_nonzero"),
        Normalisation("range"),
    )
    network = replace(solid.plan.network, in_channels=3)
    plan = replace(solid.plan, channels=("CT", "T1", "T2"), normalisation=schemes, network=network)
    export(drawn_bundle(plan), "monai-bundle", tmp_path / "bundle")
    one = ball_case(1, shape=SHAPE).image
    array = np.concatenate([ball_case(n, shape=SHAPE).image.array for n in range(3)])
    array[1, :5] = 0
    image = Volume(array, one.grid, one.meta)
    for number, channel in enumerate(array):
        write(Volume(channel[None], one.grid, one.meta), tmp_path / f"channel{number}.nii.gz")
    parser = ConfigParser()
    parser.read_config(str(tmp_path / "bundle" / "configs" / "inference.json"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = parser.get_parsed_content("preprocessing")
        theirs = steps({"image": [str(tmp_path / f"channel{number}.nii.gz") for number in range(3)]})["image"]
    np.testing.assert_allclose(theirs.numpy(), prepare(image, plan).array, atol=2e-4)


def test_what_cannot_be_said_is_told(solid, tmp_path):
    bundle = replace(solid, postprocessing=Postprocessing((RemoveSmall(least=0.1, name="core"),)))
    report = export(bundle, "monai-bundle", tmp_path / "out")
    assert report.notes[-1] == (
        "the clean-up is left out where MONAI cannot say it: remove pieces of core below 0.1 ml"
    )
    assert any("Vesalius evenly over the image" in note for note in report.notes)


def test_the_metadata_keep_to_monais_schema(solid, tmp_path):
    """The fields that MONAI's schema demands, of the types that it demands."""
    export(solid, "monai-bundle", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "configs" / "metadata.json").read_text())
    words = (
        "version",
        "monai_version",
        "pytorch_version",
        "numpy_version",
        "task",
        "description",
        "authors",
        "copyright",
    )
    assert all(isinstance(told[name], str) and told[name] for name in words)
    for side, name, channels in (("inputs", "image", 1), ("outputs", "pred", 3)):
        form = told["network_data_format"][side][name]
        assert form["num_channels"] == channels == len(form["channel_def"])
        assert form["spatial_shape"] == ["4*n"] * 3
