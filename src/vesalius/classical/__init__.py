"""Segmentation without training: thresholds, regions, boundaries, clusters. `Volume` in, `LabelMap` out. No torch.

A method is a function ``method(image, *, ...) -> LabelMap`` on the image's grid, in 2D and 3D, with lengths in mm; to
add one, write it and give it a line in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from vesalius.classical.channel import only_channel
from vesalius.classical.seeds import read_seeds, seeds_at
from vesalius.errors import VesaliusError, unknown_name
from vesalius.image import LabelMap

__all__ = ["GROUPS", "METHODS", "Method", "find", "only_channel", "read_seeds", "seeds_at"]

Method = Callable[..., LabelMap]
"""``method(image: Volume, *, ...)``: what each line of `METHODS` names."""

METHODS: dict[str, str] = {
    "threshold": "threshold",
    "otsu": "threshold",
    "multi-otsu": "threshold",
    "li": "threshold",
    "triangle": "threshold",
    "yen": "threshold",
    "isodata": "threshold",
    "entropy": "threshold",
    "hysteresis": "threshold",
    "niblack": "local_threshold",
    "sauvola": "local_threshold",
    "phansalkar": "local_threshold",
    "adaptive-mean": "local_threshold",
    "adaptive-gaussian": "local_threshold",
    "connected-threshold": "growing",
    "neighbourhood-connected": "growing",
    "confidence-connected": "growing",
    "region-competition": "competition",
    "split-and-merge": "split_merge",
    "watershed": "watershed",
    "slic": "superpixels",
    "random-walker": "random_walker",
    "graph-cut": "graph_cut",
    "sobel": "edges",
    "prewitt": "edges",
    "canny": "edges",
    "laplacian-of-gaussian": "edges",
    "snake": "snake",
    "gradient-vector-flow": "snake",
    "morphological-geodesic": "geodesic",
    "morphological-chan-vese": "geodesic",
    "chan-vese": "chan_vese",
    "threshold-level-set": "level_set",
    "geodesic-level-set": "level_set",
    "laplacian-level-set": "level_set",
    "fast-marching": "level_set",
    "livewire": "livewire",
    "kmeans": "clusters",
    "fuzzy-c-means": "clusters",
    "mean-shift": "crowds",
    "dbscan": "crowds",
    "gaussian-mixture": "mixture",
    "mixture-mrf": "mixture",
    "lung-fields": "lungs",
}
"""Name of a method to its module here; the function has the name with underscores."""

GROUPS: dict[str, tuple[str, ...]] = {
    "thresholds": ("threshold", "local_threshold"),
    "regions": ("growing", "competition", "split_merge", "watershed", "superpixels", "random_walker", "graph_cut"),
    "boundaries": ("edges", "snake", "geodesic", "chan_vese", "level_set", "livewire"),
    "clusters": ("clusters", "crowds", "mixture"),
    "organs": ("lungs",),
}
"""The modules of each family, as people look for them."""


def find(name: str) -> Method:
    """The function of a method.

    Args:
        name: A key of `METHODS`, for example ``"multi-otsu"``; underscores do as well.

    Returns:
        The function: it takes the image, and its parameters by name.

    Raises:
        VesaliusError: No method has this name.

    Example:
        >>> find("otzu")
        Traceback (most recent call last):
        vesalius.errors.VesaliusError: unknown method 'otzu': ...
    """
    known = name.replace("_", "-")
    if known not in METHODS:
        raise VesaliusError(unknown_name("method", name, METHODS))
    method: Method = getattr(import_module(f"vesalius.classical.{METHODS[known]}"), known.replace("-", "_"))
    return method
