"""How fast are the methods without training, beside scikit-image, SimpleITK and scikit-learn, on the same volume?

Each method is run by Vesalius, through its public function on a `Volume`, and by the peers that have it, as their own
users would call them on the bare array, in turn, several rounds (quick methods more), in one process. The table tells
medians of the processor's time, of all threads, and the median over rounds of how many times the quickest peer took
(above 1, Vesalius is the quicker), by the processor and by the clock. "Agree" is the share of voxels for which that
peer says the same, after matching labels by what they cover most; methods that are differently defined (another
stopping rule, another start) need not agree wholly.

    python benchmarks/classical.py ../shared/data/msd_spleen_crop/ct.nii.gz [--rounds 3] [--only otsu watershed]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from skimage import feature, filters, segmentation
from sklearn import cluster, mixture

from vesalius.classical import find, seeds_at
from vesalius.image import Grid, LabelMap, Volume
from vesalius.io import read
from vesalius.transform.pipeline import Pipeline, Step, preprocess

Way = Callable[[], NDArray[np.generic]]

QUICK_S, MOST_ROUNDS = 1.0, 40  # quick methods are run more often, until so much time has passed


def prepared(path: Path, edge: int) -> Volume:
    """Soft tissue, the same spacing on every axis, and a block of the middle."""
    steps = (Step("window", {"centre": 75.0, "width": 250.0}), Step("isotropic", {}))
    whole = preprocess(read(path), Pipeline(steps))
    corner = [max(0, (n - edge) // 2) for n in whole.grid.shape]
    box = tuple(slice(c, c + edge) for c in corner)
    array = np.ascontiguousarray(whole.array[(slice(None), *box)])
    return Volume(array, whole.grid.crop(corner, array.shape[1:]), whole.meta)


def jobs(volume: Volume) -> dict[str, dict[str, Way]]:
    """For each method how each library does it, Vesalius first."""
    array, grid = volume.array[0], volume.grid
    spacing = grid.spacing_mm
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    middle = [n // 2 for n in grid.shape]
    places = {"object": [grid.to_points(middle)], "background": [grid.to_points([3, 3, n]) for n in (3, middle[2])]}
    seeds = seeds_at(grid, places, radius_mm=6.0)
    one = LabelMap((seeds.array == 1).astype(np.uint8), grid, seeds.labels)
    at = [int(n) for n in reversed(middle)]  # SimpleITK's order
    window, width = 21, 21 * spacing[0]

    def itk(made: Callable[[], sitk.Image]) -> Way:
        return lambda: sitk.GetArrayFromImage(made())

    def ours(name: str, **how: object) -> Way:
        return lambda: find(name)(volume, **how).array

    def above(threshold: Callable[[NDArray[np.generic]], float | NDArray[np.generic]]) -> Way:
        return lambda: array > threshold(array)

    def level_set() -> sitk.Image:
        begun = sitk.GetImageFromArray(one.array)
        begun.CopyInformation(image)
        start = sitk.SignedMaurerDistanceMap(begun, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
        made = sitk.ThresholdSegmentationLevelSetImageFilter()
        made.SetLowerThreshold(0.42)
        made.SetUpperThreshold(0.75)
        made.SetPropagationScaling(2 / (0.75 - 0.42))  # as ours: 1 is half of the range
        made.SetCurvatureScaling(0.2)
        made.SetNumberOfIterations(200)
        made.SetMaximumRMSError(0.0)
        return made.Execute(sitk.Cast(start, sitk.sitkFloat32), image) < 0

    gradient = {"sigma": 1.0 / spacing[0]}
    markers = seeds.array.astype(np.int32)
    marked = sitk.GetImageFromArray(seeds.array)
    marked.CopyInformation(image)
    flat = array.reshape(-1, 1)
    picture = ndimage.zoom(array[middle[0]], 4, order=1)
    slice_of_image = Volume(picture[None], Grid.from_spacing(picture.shape, [s / 4 for s in spacing[1:]]))
    return {
        "otsu": {
            "Vesalius": ours("otsu"),
            "scikit-image": above(filters.threshold_otsu),
            "SimpleITK": itk(lambda: sitk.OtsuThreshold(image, 0, 1, 256)),
        },
        "multi-otsu": {
            "Vesalius": ours("multi-otsu", classes=3),
            "scikit-image": lambda: np.digitize(array, filters.threshold_multiotsu(array, 3)),
            "SimpleITK": itk(lambda: sitk.OtsuMultipleThresholds(image, 2, 0, 256)),
        },
        "li": {"Vesalius": ours("li"), "scikit-image": above(filters.threshold_li)},
        "triangle": {
            "Vesalius": ours("triangle"),
            "scikit-image": above(filters.threshold_triangle),
            "SimpleITK": itk(lambda: sitk.TriangleThreshold(image, 0, 1)),
        },
        "yen": {"Vesalius": ours("yen"), "scikit-image": above(filters.threshold_yen)},
        "isodata": {"Vesalius": ours("isodata"), "scikit-image": above(filters.threshold_isodata)},
        "entropy": {
            "Vesalius": ours("entropy"),
            "SimpleITK": itk(lambda: sitk.MaximumEntropyThreshold(image, 0, 1)),
        },
        "hysteresis": {
            "Vesalius": ours("hysteresis", low=0.4, high=0.8),
            "scikit-image": lambda: filters.apply_hysteresis_threshold(array, 0.4, 0.8),
        },
        "niblack": {
            "Vesalius": ours("niblack", window_mm=width),
            "scikit-image": above(lambda x: filters.threshold_niblack(x, window)),
        },
        "sauvola": {
            "Vesalius": ours("sauvola", window_mm=width),
            "scikit-image": above(lambda x: filters.threshold_sauvola(x, window)),
        },
        "adaptive-mean": {
            "Vesalius": ours("adaptive-mean", window_mm=width),
            "scikit-image": above(lambda x: filters.threshold_local(x, window, method="mean", mode="nearest")),
        },
        "connected-threshold": {
            "Vesalius": ours("connected-threshold", seeds=one, low=0.42, high=0.72),
            "SimpleITK": itk(lambda: sitk.ConnectedThreshold(image, [at], 0.42, 0.72)),
            "scikit-image": lambda: segmentation.flood(array, tuple(middle), connectivity=1, tolerance=0.15),
        },
        "neighbourhood-connected": {
            "Vesalius": ours("neighbourhood-connected", seeds=one, radius_mm=spacing[0], low=0.35, high=0.8),
            "SimpleITK": itk(lambda: sitk.NeighborhoodConnected(image, [at], 0.35, 0.8, [1, 1, 1])),
        },
        "confidence-connected": {
            "Vesalius": ours("confidence-connected", seeds=one, radius_mm=4 * spacing[0]),
            "SimpleITK": itk(lambda: sitk.ConfidenceConnected(image, [at], 4, 2.5, 4)),
        },
        "watershed": {
            "Vesalius": ours("watershed", seeds=seeds, sigma_mm=1.0),
            "scikit-image": lambda: segmentation.watershed(
                ndimage.gaussian_gradient_magnitude(array, **gradient), markers
            ),
            "SimpleITK": itk(
                lambda: sitk.MorphologicalWatershedFromMarkers(
                    sitk.GradientMagnitudeRecursiveGaussian(image, 1.0), marked, False, False
                )
            ),
        },
        "slic": {
            "Vesalius": ours("slic", size_mm=10.0),
            "scikit-image": lambda: segmentation.slic(
                array,
                n_segments=max(1, round(array.size * np.prod(spacing) / 10.0**3)),
                compactness=0.1,
                spacing=spacing,
                channel_axis=None,
                max_num_iter=5,
            ),
        },
        "random-walker": {
            "Vesalius": ours("random-walker", seeds=seeds, beta=3000.0),
            "scikit-image": lambda: segmentation.random_walker(array, markers, beta=3000, mode="cg_j", tol=1e-3),
        },
        "sobel": {
            "Vesalius": ours("sobel", thin=False, threshold=0.1),
            "scikit-image": lambda: filters.sobel(array) > 0.1,
        },
        "canny": {
            "Vesalius": ours("canny", sigma_mm=1.0),
            "SimpleITK": itk(
                lambda: sitk.CannyEdgeDetection(image, 0.02, 0.05, variance=[1.0] * 3, maximumError=[0.01] * 3)
            ),
            "scikit-image, slice by slice": lambda: np.stack([feature.canny(s, gradient["sigma"]) for s in array]),
        },
        "canny, a slice": {
            "Vesalius": lambda: find("canny")(slice_of_image, sigma_mm=1.0).array,
            "scikit-image": lambda: feature.canny(slice_of_image.array[0], 4 * gradient["sigma"]),
        },
        "chan-vese": {
            "Vesalius": ours("chan-vese"),
            "scikit-image, slice by slice": lambda: np.stack(
                [segmentation.chan_vese(s, max_num_iter=200) for s in array]
            ),
        },
        "morphological-chan-vese": {
            "Vesalius": ours("morphological-chan-vese", seeds=one, iterations=60),
            "scikit-image": lambda: segmentation.morphological_chan_vese(array, 60, one.array, smoothing=1),
        },
        "threshold-level-set": {
            "Vesalius": ours("threshold-level-set", seeds=one, above=0.42, below=0.75, iterations=200),
            "SimpleITK": itk(level_set),
        },
        "kmeans": {
            "Vesalius": ours("kmeans", classes=3),
            "scikit-learn": lambda: cluster.KMeans(3, n_init=1, random_state=0).fit_predict(flat).reshape(array.shape),
        },
        "gaussian-mixture": {
            "Vesalius": ours("gaussian-mixture", classes=3),
            "scikit-learn": lambda: mixture.GaussianMixture(3, random_state=0).fit_predict(flat).reshape(array.shape),
        },
    }


def agreement(ours: NDArray[np.generic], theirs: NDArray[np.generic]) -> float:
    """Share of voxels alike once each of their labels is called what ours calls most of it."""
    mine = np.unique(ours, return_inverse=True)[1].ravel()
    others = np.unique(theirs, return_inverse=True)[1].ravel()
    table = np.zeros((mine.max() + 1, others.max() + 1), np.int64)
    np.add.at(table, (mine, others), 1)
    return float(table.max(axis=0).sum() / mine.size)


@dataclass(frozen=True)
class Times:
    """Of one way, a number a round, ms: the processor's, of all threads, and the clock's."""

    processor: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)


def timed(ways: Mapping[str, Way], rounds: int) -> tuple[dict[str, Times], dict[str, NDArray[np.generic]]]:
    """The times of each way, taken in turn, and what each made."""
    made = {name: way() for name, way in ways.items()}  # imports, and memory that is asked for once
    times = {name: Times() for name in ways}
    begun, done = time.perf_counter(), 0
    while done < rounds or (time.perf_counter() - begun < QUICK_S and done < MOST_ROUNDS):
        for name, way in ways.items():
            clock, processor = time.perf_counter(), time.process_time()
            made[name] = way()
            times[name].processor.append(1e3 * (time.process_time() - processor))
            times[name].clock.append(1e3 * (time.perf_counter() - clock))
        done += 1
    return times, made


def ratio(theirs: list[float], ours: list[float]) -> float:
    """Median over rounds of how many times longer they took."""
    return statistics.median(t / o for t, o in zip(theirs, ours, strict=True))


def main() -> None:
    """Run every job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, help="a CT")
    parser.add_argument("--edge", type=int, default=128, help="of the block that is used, voxels (128)")
    parser.add_argument("--rounds", type=int, default=3, help="of each (3)")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="these methods (all)")
    args = parser.parse_args()
    volume = prepared(args.image, args.edge)
    print(f"{volume.grid.shape} voxels of {volume.grid.spacing_mm[0]:.3g} mm\n")
    print("| method | Vesalius, ms | peers, ms | × the quickest | by the clock | agree |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for name, ways in jobs(volume).items():
        if args.only and name not in args.only:
            continue
        times, made = timed(ways, args.rounds)
        middle = {way: statistics.median(one.processor) for way, one in times.items()}
        peers = [way for way in ways if way != "Vesalius"]
        quickest = min(peers, key=lambda peer: middle[peer])
        told = ", ".join(f"{peer} {middle[peer]:.3g}" for peer in peers)
        same = agreement(made["Vesalius"], made[quickest])
        mine, its = times["Vesalius"], times[quickest]
        ratios = f"{ratio(its.processor, mine.processor):.2f} | {ratio(its.clock, mine.clock):.2f}"
        print(f"| `{name}` | {middle['Vesalius']:.3g} | {told} | {ratios} | {same:.1%} |", flush=True)


if __name__ == "__main__":
    main()
