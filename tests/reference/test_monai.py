"""Imported MONAI bundles against MONAI's own networks and transforms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.inferers.inferer import SlidingWindowInferer
from monai.transforms import Orientation, ResampleToMatch, ScaleIntensityRange, Spacing
from monai_bundles import NETWORKS, PATCHES, network_of, write_bundle

from vesalius.export.monai import import_monai
from vesalius.image import Grid, Meta, Volume
from vesalius.predict import load_network, load_segmenter, segment


@pytest.mark.parametrize("name", NETWORKS)
def test_the_logits_are_monais(name: str, tmp_path: Path) -> None:
    theirs = network_of(name)
    bundle = import_monai(write_bundle(tmp_path, name, theirs))
    ours = load_network(bundle.plan.network, bundle.weights, torch.device("cpu"))
    x = torch.randn(1, 1, *PATCHES.get(name, (8, 16, 16)))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scripted", [False, True])
def test_the_label_map_is_that_of_monais_own_steps(scripted: bool, tmp_path: Path) -> None:
    theirs = network_of("UNet")
    bundle = import_monai(write_bundle(tmp_path, "UNet", theirs, scripted=scripted))
    grid = Grid.from_spacing((36, 30, 28), (1.0, 1.1, 1.7), origin_mm=(5.0, -20.0, 3.0))
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.normal(50, 60, (1, 1, 9, 8, 7)))
    array = torch.nn.functional.interpolate(coarse, grid.shape, mode="trilinear")[0].numpy().astype(np.float32)
    image = Volume(array, grid, Meta(modality="CT"))

    found = segment(image, load_segmenter(bundle, device="cpu", backend="torch-float32")).labels.array

    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    seen = MetaTensor(torch.from_numpy(array), affine=torch.from_numpy(to_ras @ grid.affine), meta={"space": "RAS"})
    ready = ScaleIntensityRange(-50, 150, 0, 1, clip=True)(
        Spacing((1.5, 1.4, 1.2), mode="bilinear")(Orientation("RAS", labels=None)(seen))
    )
    inferer = SlidingWindowInferer(PATCHES["UNet"], sw_batch_size=4, overlap=0.5)
    with torch.no_grad():
        logits = inferer(ready[None].as_tensor(), theirs)[0]
    back = ResampleToMatch(mode="bilinear", padding_mode="border")(
        MetaTensor(logits, affine=ready.affine), img_dst=seen
    )
    expected = back.argmax(0).numpy()
    assert len(np.unique(expected)) > 1
    assert (found == expected).mean() >= 0.9999
