"""How long the steps of `vesalius preprocess` take beside SciPy, scikit-image and SimpleITK, and what noise they leave.

Each row is one step on the same real volume (the middle 128 x 128 x 128 of a brain MR, 1 mm, to which noise of 3 % of
its range is added): the best of the repeats in one process, contenders in turn, each with the threads that it takes
by itself. For denoisers also what is left of the noise (1: all of it), by defaults where there are any. Diffusion in
SimpleITK has none: of four settings the one that leaves least. scikit-image and SimpleITK come with ``vesalius[dev]``.

    python benchmarks/preprocess.py [IMAGE] [--repeats 3]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from skimage import exposure, restoration

from vesalius.image import Grid, Volume
from vesalius.io import read
from vesalius.transform import (
    anisotropic_diffusion,
    bilateral,
    clahe,
    equalise,
    gaussian,
    match_histogram,
    median,
    n4,
    non_local_means,
)

IMAGE = Path("../shared/data/ms_lesion_mr/mni_patient19/T1.nii.gz")
EDGE = 128
NOISE = 0.03

Contender = tuple[str, Callable[[], np.ndarray]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", default=IMAGE, type=Path, help=f"a volume ({IMAGE})")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    array = read(args.image).array[0].astype(np.float32)
    corner = [max(0, (n - EDGE) // 2) for n in array.shape]
    truth = np.ascontiguousarray(array[tuple(slice(c, c + EDGE) for c in corner)])
    sigma = NOISE * float(np.ptp(truth))
    noisy = truth + np.random.default_rng(0).normal(0, sigma, truth.shape).astype(np.float32)

    def left(made: np.ndarray) -> float:
        return float(np.sqrt(((made - truth) ** 2).mean())) / sigma

    print(f"{' x '.join(map(str, truth.shape))} voxels, {args.repeats} repeats\n")
    print("| step | by | s | times ours | noise left |\n| --- | --- | --- | --- | --- |")
    for step, contenders, denoises in rows(truth, noisy, sigma):
        seconds: dict[str, list[float]] = {name: [] for name, _ in contenders}
        made: dict[str, np.ndarray] = {}
        for _ in range(args.repeats):
            for name, call in contenders:
                started = time.perf_counter()
                made[name] = call()
                seconds[name].append(time.perf_counter() - started)
        fastest = {name: min(found) for name, found in seconds.items()}
        for name, value in fastest.items():
            noise = f"{left(made[name]):.2f}" if denoises else ""
            print(f"| {step} | {name} | {value:.3f} | {value / fastest['vesalius']:.1f} | {noise} |", flush=True)


def rows(truth: np.ndarray, noisy: np.ndarray, sigma: float) -> list[tuple[str, list[Contender], bool]]:
    """Each step: its name, who takes it, and whether noise is what it takes away."""
    ours = Volume(noisy[None], Grid.from_spacing(noisy.shape, (1.0, 1.0, 1.0)))
    image = sitk.GetImageFromArray(noisy)
    low, wide = float(noisy.min()), float(np.ptp(noisy))
    scaled = (noisy - low) / wide
    other = np.sqrt(np.abs(truth))[:, ::-1].copy()
    cross = ndimage.generate_binary_structure(3, 1)
    cube = np.ones((3, 3, 3), bool)
    # A field, and no value below 0, for N4.
    slope = np.linspace(0.7, 1.3, noisy.shape[0], dtype=np.float32)[:, None, None]
    shaded = np.abs(truth) * slope
    ours_shaded, theirs_shaded = Volume(shaded[None], ours.grid), sitk.GetImageFromArray(shaded)

    def array(made: sitk.Image) -> np.ndarray:
        found: np.ndarray = sitk.GetArrayFromImage(made)
        return found

    def itk_n4() -> np.ndarray:
        mask = sitk.OtsuThreshold(theirs_shaded, 0, 1)
        correct = sitk.N4BiasFieldCorrectionImageFilter()
        correct.Execute(sitk.Shrink(theirs_shaded, [4] * 3), sitk.Shrink(mask, [4] * 3))
        return array(theirs_shaded / sitk.Exp(correct.GetLogBiasFieldAsImage(theirs_shaded)))

    def best(candidates: list[Callable[[], np.ndarray]]) -> Callable[[], np.ndarray]:
        return min(candidates, key=lambda call: float(((call() - truth) ** 2).mean()))

    itk_diffusion = best(
        [
            lambda k=k, n=n: array(sitk.GradientAnisotropicDiffusion(image, 0.0625, k, 1, n))
            for k in (1.0, 2.0)
            for n in (3, 5)
        ]
    )
    return [
        (
            "gaussian, 1 mm",
            [
                ("vesalius", lambda: gaussian(ours, sigma_mm=1.0).array[0]),
                ("SciPy", lambda: ndimage.gaussian_filter(noisy, 1.0, mode="nearest")),
                ("SimpleITK, discrete", lambda: array(sitk.DiscreteGaussian(image, 1.0))),
                ("SimpleITK, recursive", lambda: array(sitk.SmoothingRecursiveGaussian(image, 1.0))),
            ],
            True,
        ),
        (
            "median of 7",
            [
                ("vesalius", lambda: median(ours).array[0]),
                ("SciPy", lambda: ndimage.median_filter(noisy, footprint=cross, mode="nearest")),
            ],
            True,
        ),
        (
            "median of 27",
            [
                ("vesalius", lambda: median(ours, radius_mm=1.74).array[0]),
                ("SimpleITK", lambda: array(sitk.Median(image, [1, 1, 1]))),
                ("SciPy", lambda: ndimage.median_filter(noisy, footprint=cube, mode="nearest")),
            ],
            True,
        ),
        (
            "bilateral, 1 mm",
            [
                ("vesalius", lambda: bilateral(ours).array[0]),
                ("SimpleITK", lambda: array(sitk.Bilateral(image, 1.0, 2 * sigma))),
            ],
            True,
        ),
        (
            "anisotropic diffusion",
            [("vesalius", lambda: anisotropic_diffusion(ours).array[0]), ("SimpleITK, best of 4", itk_diffusion)],
            True,
        ),
        (
            "non-local means",
            [
                ("vesalius", lambda: non_local_means(ours).array[0]),
                (
                    "scikit-image",
                    lambda: restoration.denoise_nl_means(
                        noisy, patch_size=3, patch_distance=3, h=0.8 * sigma, sigma=sigma, fast_mode=True
                    ),
                ),
            ],
            True,
        ),
        (
            "equalisation",
            [
                ("vesalius", lambda: equalise(ours).array[0]),
                ("scikit-image", lambda: exposure.equalize_hist(noisy)),
            ],
            False,
        ),
        (
            "histogram matching",
            [
                ("vesalius", lambda: match_histogram(ours, reference=ours.with_array(other[None])).array[0]),
                ("scikit-image", lambda: exposure.match_histograms(noisy, other)),
                (
                    "SimpleITK, 50 quantiles",
                    lambda: array(sitk.HistogramMatching(image, sitk.GetImageFromArray(other), 1024, 50, False)),
                ),
            ],
            False,
        ),
        (
            "CLAHE",
            [
                ("vesalius", lambda: clahe(ours).array[0]),
                ("scikit-image", lambda: exposure.equalize_adapthist(scaled)),
            ],
            False,
        ),
        ("N4, shrunk by 4", [("vesalius", lambda: n4(ours_shaded).array[0]), ("SimpleITK", itk_n4)], False),
    ]


if __name__ == "__main__":
    main()
