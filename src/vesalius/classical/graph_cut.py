"""Graph cut: of all ways to part an image, the one whose regions are likeliest and whose borders are cheapest."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.seeds import seed_values, without_background
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Volume

_MOST_VOXELS = 8_000_000  # 200³: the graph takes about 0.6 KiB a voxel
_FINENESS = 1000.0  # capacities are whole numbers: a cost of 1 is so many, if their sum allows it
_LARGEST_SUM = 1 << 30  # they are added up in 32 bits
_BINS = 128
_PLAIN = 0.05  # share of a plain distribution in each name's: no value is impossible for any


def graph_cut(
    image: Volume,
    *,
    seeds: LabelMap,
    smoothness: float = 10.0,
    contrast: float | None = None,
    likeness: float = 1.0,
) -> LabelMap:
    """Part an image by seeds so that values are like those of the seeds, and borders are short and lie on edges.

    With two names the answer is the best that there is. With more, names take voxels from all others in turns until
    none gains; that comes near it.

    Args:
        image: One channel.
        seeds: At least two names; ``"background"`` is 0 in the end. Seeds keep their names.
        smoothness: What a border costs where the image is even, ≥ 0, for a face of the size of the mean one.
        contrast: A step of so much lowers that to e^-½, in the image's unit, > 0; left out, the root of the mean
            square of all steps between neighbours.
        likeness: What it costs that values are not like those of the seeds of a name, ≥ 0: times the negative logarithm
            of their share. With 0 seeds only say where, not what.

    Returns:
        The names of the seeds. 128³ voxels and two names take ten seconds and 1.1 GiB; many times as long with a
        likeness near 0.

    Raises:
        DataError: Fewer than two names, an argument out of range, several channels, or more than 8 million voxels.
        GeometryError: The seeds lie on another grid.

    Example:
        >>> from vesalius.classical import read_seeds
        >>> image = Volume(np.array([[[0.0, 0, 1, 9, 9, 9]]]), Grid.from_spacing((1, 6), (1.0, 1.0)))
        >>> graph_cut(image, seeds=read_seeds("a=0,0; b=0,5", image.grid)).array.tolist()
        [[1, 1, 1, 2, 2, 2]]

    Source: Boykov and Jolly, International Conference on Computer Vision, 2001, doi:10.1109/ICCV.2001.937505; more than
    two names: Boykov, Veksler and Zabih, IEEE Transactions on Pattern Analysis and Machine Intelligence 23, 2001,
    doi:10.1109/34.969114, with the graph of Kolmogorov and Zabih, the same 26, 2004, doi:10.1109/TPAMI.2004.1262177.
    The default contrast is that of Rother, Kolmogorov and Blake, ACM Transactions on Graphics 23, 2004,
    doi:10.1145/1015706.1015720. Maximum flows are SciPy's.
    """
    names = seed_values(image.grid, seeds, least=2)
    if not (smoothness >= 0 and likeness >= 0 and (contrast is None or contrast > 0)):
        raise DataError(
            "a graph cut takes a smoothness and a likeness of at least 0 and a contrast above 0, not "
            f"{smoothness}, {likeness} and {contrast}"
        )
    if image.grid.size > _MOST_VOXELS:
        raise DataError(
            f"a graph cut takes {_MOST_VOXELS:,} voxels at most, and the image has {image.grid.size:,}: crop it to "
            "what matters, resample it, or take watershed or region-competition"
        )
    values = only_channel(image).astype(np.float64)
    marked = np.zeros(values.shape, np.intp)
    for n, name in enumerate(names, 1):
        marked[seeds.array == name] = n
    costs = np.stack([likeness * _strangeness(values, values[marked == n]) for n in range(1, len(names) + 1)])
    edges = _Edges.of(values, image.grid, smoothness, contrast)
    # Where a seed says so, every other name costs more than all its borders could.
    forbidden = 1.0 + edges.most_at_a_voxel() + float(costs.max())
    for n in range(1, len(names) + 1):
        costs[n - 1][(marked > 0) & (marked != n)] = forbidden
        costs[n - 1][marked == n] = 0
    costs = costs.reshape(len(names), -1)
    held = np.zeros(values.size, np.intp) if len(names) == 2 else np.argmin(costs, axis=0)
    if len(names) == 2:
        held = _expanded(held, 1, costs, edges)
    else:
        best = _energy(held, costs, edges)
        stuck = 0
        while stuck < len(names):
            for n in range(len(names)):
                tried = _expanded(held, n, costs, edges)
                energy = _energy(tried, costs, edges)
                # Capacities are rounded: what gains less than that gains nothing.
                gains = energy < best - 1e-6 * abs(best)
                stuck = 0 if gains else stuck + 1
                held, best = (tried, energy) if gains else (held, best)
    return without_background(np.asarray(names)[held].reshape(values.shape), seeds)


class _Edges:
    """Neighbours, and what a border between them costs."""

    def __init__(self, one: NDArray[np.int32], other: NDArray[np.int32], weight: NDArray[np.float64]) -> None:
        self.one, self.other, self.weight = one, other, weight

    @classmethod
    def of(cls, values: NDArray[np.float64], grid: Grid, smoothness: float, contrast: float | None) -> _Edges:
        ids: NDArray[np.int32] = np.arange(values.size, dtype=np.int32).reshape(values.shape)
        steps = [np.diff(values, axis=axis).ravel() ** 2 for axis in range(values.ndim)]
        square = 2 * contrast**2 if contrast else 2 * float(np.concatenate(steps).mean())
        spacing = np.asarray(grid.spacing_mm)
        # A face by its area; a step over a long way says less of an edge than over a short one.
        areas = spacing.prod() / spacing
        weights = smoothness * areas / areas.mean()
        return cls(
            np.concatenate([ids.take(np.arange(n - 1), axis).ravel() for axis, n in enumerate(values.shape)]),
            np.concatenate([ids.take(np.arange(1, n), axis).ravel() for axis, n in enumerate(values.shape)]),
            np.concatenate([w * np.exp(-step / (square or 1.0)) for w, step in zip(weights, steps, strict=True)]),
        )

    def most_at_a_voxel(self) -> float:
        ends = np.concatenate([self.one, self.other])
        return float(np.bincount(ends, np.tile(self.weight, 2)).max()) if ends.size else 0.0


def _strangeness(values: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """The negative logarithm of each value's share among those of some seeds, smoothed.

    Source: kernel widths by Silverman, Density Estimation, 1986, equation 3.28, but no less than the image's noise.
    """
    from scipy import ndimage

    low, high = np.percentile(values, [0.1, 99.9])
    low, high = min(low, float(known.min())), max(high, float(known.max()))
    if high <= low:
        return np.zeros(values.shape)
    width = (high - low) / _BINS
    counts = np.histogram(known, bins=_BINS, range=(low, high))[0].astype(np.float64)
    kernel = max(1.06 * float(known.std()) * known.size**-0.2, _noise(values), width)
    share = ndimage.gaussian_filter1d(counts, kernel / width, mode="constant")
    share = (1 - _PLAIN) * share / share.sum() + _PLAIN / _BINS
    at = np.clip(((values - low) / width).astype(np.intp), 0, _BINS - 1)
    found: NDArray[np.float64] = -np.log(share)[at]
    return found


def _noise(values: NDArray[np.float64]) -> float:
    """The standard deviation of the noise, from the median step between neighbours."""
    apart = np.concatenate([np.abs(np.diff(values, axis=axis)).ravel() for axis in range(values.ndim)])
    return float(np.median(apart)) / 0.6745 / math.sqrt(2) if apart.size else 0.0


def _energy(held: NDArray[np.intp], costs: NDArray[np.float64], edges: _Edges) -> float:
    borders = float(edges.weight[held[edges.one] != held[edges.other]].sum())
    return float(costs[held, np.arange(held.size)].sum()) + borders


def _expanded(held: NDArray[np.intp], name: int, costs: NDArray[np.float64], edges: _Edges) -> NDArray[np.intp]:
    """The best that comes of letting each voxel go to one name or stay: a minimal cut.

    A voxel stays on the source's side and goes on the sink's. For neighbours with a border now (cost a), if only the
    one stays (b), only the other stays (c), the terms are those of Kolmogorov and Zabih.
    """
    everywhere = np.arange(held.size)
    stay, go = costs[held, everywhere], costs[name]
    one, other, weight = edges.one, edges.other, edges.weight
    now = weight * (held[one] != held[other])
    first_goes = weight * (held[other] != name)
    second_goes = weight * (held[one] != name)
    # E(x, y) over "goes": E(0,0) = now, E(0,1) = second_goes, E(1,0) = first_goes, E(1,1) = 0.
    extra = np.bincount(one, first_goes - now, minlength=held.size)
    extra += np.bincount(other, -first_goes, minlength=held.size)
    pull = go - stay + extra  # what going costs more than staying
    pair = second_goes + first_goes - now  # if the first stays and the second goes
    reached = _source_side(pull, one, other, pair)
    return np.where(reached, held, name)


def _source_side(
    pull: NDArray[np.float64], one: NDArray[np.int32], other: NDArray[np.int32], pair: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which voxels lie on the source's side of the minimal cut: ``pull`` above 0 binds to it, below 0 to the sink."""
    from scipy.sparse import coo_array, csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    count = pull.size
    source, sink = count, count + 1
    scale = min(_FINENESS, _LARGEST_SUM / max(1.0, float(np.abs(pull).sum())))
    bound = np.rint(pull * scale).astype(np.int32)
    to, away = np.flatnonzero(bound > 0).astype(np.int32), np.flatnonzero(bound < 0).astype(np.int32)
    rows = np.concatenate([one, np.full(to.size, source, np.int32), away])
    columns = np.concatenate([other, to, np.full(away.size, sink, np.int32)])
    capacity = np.concatenate([np.rint(pair * scale).astype(np.int32), bound[to], -bound[away]])
    graph = csr_array(coo_array((capacity, (rows, columns)), shape=(count + 2, count + 2)))
    flow = maximum_flow(graph, source, sink).flow
    residual = csr_array(graph - flow)
    residual.data[residual.data < 0] = 0
    residual.eliminate_zeros()
    found = np.zeros(count + 2, np.bool_)
    found[breadth_first_order(residual, source, return_predecessors=False)] = True
    return found[:count]
