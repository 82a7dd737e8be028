"""Small MONAI bundles with MONAI's own networks."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.swin_unetr import SwinUNETR
from monai.networks.nets.unet import UNet
from monai.networks.nets.unetr import UNETR
from torch import nn

KINDS = {"UNet": UNet, "DynUNet": DynUNet, "SegResNet": SegResNet, "SwinUNETR": SwinUNETR, "UNETR": UNETR}
SOLID = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3}
NETWORKS: dict[str, dict[str, Any]] = {
    "UNet": {**SOLID, "channels": [4, 8, 8], "strides": [2, 2], "num_res_units": 2, "norm": "batch"},
    "DynUNet": {
        **SOLID,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, [2, 2, 1]],
        "upsample_kernel_size": [2, [2, 2, 1]],
        "filters": [4, 8, 8],
        "norm_name": ["INSTANCE", {"affine": True}],
        "deep_supervision": True,
    },
    "SegResNet": {**SOLID, "init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1], "dropout_prob": 0.2},
    "SwinUNETR": {**SOLID, "feature_size": 12, "window_size": 3, "use_checkpoint": True},
    "UNETR": {**SOLID, "img_size": [16, 16, 32], "feature_size": 4, "hidden_size": 24, "mlp_dim": 32, "num_heads": 2},
}
PATCHES = {"UNet": (16, 16, 16), "SwinUNETR": (32, 32, 64), "UNETR": (16, 16, 32)}


def network_of(name: str) -> nn.Module:
    """MONAI's network, its weights drawn so that nothing is left at 0 or 1."""
    torch.manual_seed(0)
    network: nn.Module = KINDS[name](**NETWORKS[name])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return network.eval()


def write_bundle(folder: Path, name: str, network: nn.Module, *, scripted: bool = False, **changes: Any) -> Path:
    """A bundle as those of MONAI's model zoo are written; ``changes`` replace parts of its configuration."""
    patch = PATCHES.get(name, (8, 16, 16))
    config = {
        "imports": ["$import os"],
        "bundle_root": ".",
        "device": "$torch.device('cpu')",
        "roi": list(patch),
        "network_def": {"_target_": f"monai.networks.nets.{name}", **NETWORKS[name]},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": ["image"], "pixdim": [1.5, 1.4, 1.2], "mode": "bilinear"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": -50,
                    "a_max": 150,
                    "b_min": 0,
                    "b_max": 1,
                    "clip": True,
                },
                {"_target_": "EnsureTyped", "keys": "image", "device": "@device"},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": "@roi", "sw_batch_size": 4, "overlap": 0.5},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$os.getcwd()"},
            ],
        },
        **changes,
    }
    metadata = {
        "version": "0.1",
        "name": "a bundle",
        "network_data_format": {
            "inputs": {"image": {"num_channels": 1, "channel_def": {"0": "CT"}}},
            "outputs": {"pred": {"num_channels": 3, "channel_def": {"0": "background", "1": "liver", "2": "tumour"}}},
        },
    }
    for part in ("configs", "models"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    if scripted:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # MONAI's bundles are made with it nevertheless
            torch.jit.script(network).save(str(folder / "models" / "model.ts"))
    else:
        torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder
