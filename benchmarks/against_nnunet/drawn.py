"""An nnU-Net model of the usual size with drawn weights, and an image for it; see predict.py. For nnU-Net's Python.

    PYTHON -m against_nnunet.drawn FOLDER

FOLDER/model is as nnU-Net leaves it after training: its plain U-Net for windows of 128³ with 32 to 320 features and
31 million parameters, as its planner chooses it for a GPU of 8 GB. FOLDER/images holds one image of 128 × 128 × 160
voxels: two windows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

_SHAPE = (160, 128, 128)  # slices first, as nnU-Net has it
_LABELS = {"background": 0, "one": 1, "two": 2}
_INTENSITIES = ("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std")  # no z-score asks for them


def configuration() -> dict[str, Any]:
    """Of the network and what surrounds it."""
    stages = 6
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [32, 64, 128, 256, 320, 320],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    how: dict[str, Any] = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [128, 128, 128],
        "median_image_size_in_voxels": [float(n) for n in _SHAPE],
        "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": how,
        "resampling_fn_seg_kwargs": {**how, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**how, "order": 1},
        "architecture": architecture,
        "batch_dice": False,
    }


def main() -> None:
    """Write model and image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    held = configuration()
    plans = {
        "dataset_name": "Dataset001_drawn",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": list(_SHAPE),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": held},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": dict.fromkeys(_INTENSITIES, 1.0)},
    }
    dataset = {"channel_names": {"0": "MR"}, "labels": _LABELS, "numTraining": 1, "file_ending": ".nii.gz"}
    torch.manual_seed(0)
    network = get_network_from_plans(
        held["architecture"]["network_class_name"],
        held["architecture"]["arch_kwargs"],
        held["architecture"]["_kw_requires_import"],
        1,
        len(_LABELS),
        deep_supervision=True,
    )
    fold = folder / "model" / "fold_all"
    fold.mkdir(parents=True, exist_ok=True)
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(checkpoint, fold / "checkpoint_final.pth")
    (folder / "model" / "plans.json").write_text(json.dumps(plans, indent=1))
    (folder / "model" / "dataset.json").write_text(json.dumps(dataset, indent=1))
    images = folder / "images"
    images.mkdir(exist_ok=True)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=_SHAPE).astype(np.float32))
    smooth = torch.nn.functional.avg_pool3d(noise[None, None], 9, stride=1, padding=4)[0, 0]
    image = SimpleITK.GetImageFromArray((1000 * smooth).numpy().astype(np.int16))
    SimpleITK.WriteImage(image, str(images / "drawn_0000.nii.gz"))


if __name__ == "__main__":
    main()
