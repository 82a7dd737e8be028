"""How long augmenting a batch takes, beside batchgeneratorsv2 (nnU-Net's, where installed).

Both apply nnU-Net v2's recipe to windows of the same size, from arrays in memory to the patch, in turn and in one
process: batchgeneratorsv2 element by element, as nnU-Net's loader calls it. Then each of our transforms by itself,
fired for every element and channel. Wall time is what a user waits; processor time (all threads) says what the work
costs when the machine is shared.

    python benchmarks/augment_speed.py [--repeats 40] [--threads 2]
    pip install batchgeneratorsv2    # the peer, optional
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from vesalius.augment import Augmentation, Parameters, apply, sample, source_size

CASES = {
    "3D 8 x 1 x 40x56x40": (8, 1, (40, 56, 40)),
    "3D 2 x 1 x 128x128x128": (2, 1, (128, 128, 128)),
    "2D 12 x 3 x 512x512": (12, 3, (512, 512)),
}


def windows(batch: int, channels: int, size: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, and labels in it."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, channels, *size, generator=generator)
    return images, torch.randint(0, 3, (batch, *size), generator=generator, dtype=torch.int16)


def ours(spec: Augmentation, batch: int, channels: int, patch: tuple[int, ...]) -> Callable[[], object]:
    """Sample and apply."""
    images, labels = windows(batch, channels, source_size(spec, patch))
    generator = torch.Generator().manual_seed(1)
    return lambda: apply(images, labels, sample(spec, batch, channels=channels, generator=generator), patch)


def nnunet_chain(spec: Augmentation, patch: tuple[int, ...]) -> Callable[..., dict[str, torch.Tensor]]:
    """NnU-Net's own transforms with the spec's chances and ranges, for one element."""
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
    from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
    from batchgeneratorsv2.transforms.utils.random import RandomTransform

    turn = np.deg2rad(spec.rotation_degrees[0])
    apart = {"synchronize_channels": False}
    gamma = {**apart, "gamma": BGContrast(spec.gamma), "p_per_channel": 1, "p_retain_stats": 1}
    chain = [
        SpatialTransform(
            patch,
            patch_center_dist_from_border=0,
            random_crop=False,
            p_elastic_deform=0,
            p_rotation=spec.rotation_p,
            rotation=tuple(turn),
            p_scaling=spec.scale_p,
            scaling=spec.scale,
            p_synchronize_scaling_across_axes=1,
            bg_style_seg_sampling=False,
        ),
        RandomTransform(GaussianNoiseTransform(spec.noise_std, 1, True), spec.noise_p),
        RandomTransform(
            GaussianBlurTransform(spec.blur_sigma, False, False, spec.blur_channel_p, benchmark=True), spec.blur_p
        ),
        RandomTransform(MultiplicativeBrightnessTransform(BGContrast(spec.brightness), False, 1), spec.brightness_p),
        RandomTransform(ContrastTransform(BGContrast(spec.contrast), True, False, 1), spec.contrast_p),
        RandomTransform(
            SimulateLowResolutionTransform(spec.low_resolution, False, True, (), None, spec.low_resolution_channel_p),
            spec.low_resolution_p,
        ),
        RandomTransform(GammaTransform(**gamma, p_invert_image=1), spec.inverted_gamma_p),
        RandomTransform(GammaTransform(**gamma, p_invert_image=0), spec.gamma_p),
        MirrorTransform(spec.mirror_axes),
    ]
    composed: Callable[..., dict[str, torch.Tensor]] = ComposeTransforms(chain)
    return composed


def peer(spec: Augmentation, batch: int, channels: int, patch: tuple[int, ...]) -> Callable[[], object]:
    """The same recipe of nnU-Net's own library."""
    compose = nnunet_chain(spec, patch)
    images, labels = windows(batch, channels, source_size(spec, patch))

    def run() -> object:
        done = [
            compose(image=image.clone(), segmentation=label[None].clone())
            for image, label in zip(images, labels, strict=True)
        ]
        return torch.stack([d["image"] for d in done]), torch.stack([d["segmentation"] for d in done])

    return run


def alone(patch: tuple[int, ...], batch: int, channels: int) -> dict[str, Parameters]:
    """Parameters that fire one transform for everything."""
    still = Parameters.identity(batch, ndim=len(patch), channels=channels)
    return {
        "crop": still,
        "mirror": replace(still, mirror=torch.ones_like(still.mirror)),
        "rotation, scale": replace(still, rotation=still.rotation + 0.3),
        "noise": replace(still, noise_std=still.noise_std + 0.1),
        "blur": replace(still, blur_sigma=still.blur_sigma + 1.0),
        "brightness": replace(still, brightness=still.brightness * 0.8),
        "contrast": replace(still, contrast=still.contrast * 0.8),
        "low resolution": replace(still, low_resolution=still.low_resolution * 0.7),
        "gamma": replace(still, gamma=still.gamma * 0.8),
        **{name: replace(still, **changed) for name, changed in others(len(patch), batch, channels).items()},
    }


def others(ndim: int, batch: int, channels: int) -> dict[str, dict[str, torch.Tensor]]:
    """What nnU-Net does not have, each for every element and channel, as `sample` draws it."""
    names = {
        "elastic": ("elastic",),
        "bias_field": ("bias_field",),
        "motion": ("motion_rotation", "motion_shift", "motion_time", "motion_axis"),
        "ghosting": ("ghosting", "ghosting_count", "ghosting_axis"),
        "spike": ("spike", "spike_wave", "spike_phase"),
        "ct_noise": ("ct_noise_std", "ct_noise_attenuation", "ct_noise_cutoff", "ct_noise_seed"),
        "mix": ("mix_partner", "mix_box"),
        "colour": ("colour",),
    }
    spec = Augmentation.for_patch((64,) * ndim)
    chances = {f"{name}_p": 1.0 for name in names if name != "colour" or channels >= 3}
    colours = (0, 1, 2) if channels >= 3 else ()
    drawn = sample(
        replace(spec, **chances, colour_channels=colours),
        batch,
        channels=channels,
        generator=torch.Generator().manual_seed(0),
    )
    fired = {name: parts for name, parts in names.items() if f"{name}_p" in chances}
    return {name.replace("_", " "): {part: getattr(drawn, part) for part in parts} for name, parts in fired.items()}


def time_in_turn(contenders: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor milliseconds of each run; the contenders take turns, so a busy machine is unfair to none."""
    for run in contenders.values():
        run()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            times[name].append((1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor)))
    return times


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40, help="batches of each contender")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    has_peer = importlib.util.find_spec("batchgeneratorsv2") is not None
    if not has_peer:
        print("batchgeneratorsv2 is not installed: no peer to compare with")
    for title, (batch, channels, patch) in CASES.items():
        print(f"\n{title}, {chosen.threads} thread(s), ms a batch: wall median | processor median, mean")
        spec = Augmentation.for_patch(patch)
        makers = {"vesalius": ours} | ({"batchgeneratorsv2": peer} if has_peer else {})
        contenders = {name: make(spec, batch, channels, patch) for name, make in makers.items()}
        images, labels = windows(batch, channels, source_size(spec, patch))
        for name, parameters in alone(patch, batch, channels).items():
            contenders[f"  {name}, all"] = lambda p=parameters, i=images, s=labels, n=patch: apply(i, s, p, n)
        for name, times in time_in_turn(contenders, chosen.repeats).items():
            wall, processor = zip(*times, strict=True)
            middle, mean = statistics.median(processor), statistics.fmean(processor)
            print(f"{name:24} {statistics.median(wall):8.1f} | {middle:8.1f} {mean:8.1f}")


if __name__ == "__main__":
    main()
