"""Boundaries agree with scikit-image, SciPy and SimpleITK where they do the same, and with real contours."""

import itertools

import numpy as np
import pytest

from vesalius.classical import find
from vesalius.image import Grid, LabelMap, Labels, Volume

skimage = pytest.importorskip("skimage")


def volume(array, spacing=None) -> Volume:
    return Volume(np.asarray(array)[None], Grid.from_spacing(np.shape(array), spacing or (1.0,) * np.ndim(array)))


def texture(rng, shape, sigma=2.0):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(rng.normal(size=shape), sigma) * 100.0


def slope(array, spacing=None):
    """The length of the gradient by central differences; beyond its border the array goes on as it ends."""
    padded = np.pad(array, 1, mode="edge")
    inner = (slice(1, -1),) * array.ndim
    return np.sqrt(sum((g / s) ** 2 for g, s in zip(np.gradient(padded), spacing or (1.0,) * array.ndim, strict=True)))[
        inner
    ]


def dice(one, other) -> float:
    one, other = (np.asarray(x) != 0 for x in (one, other))
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("shape", [(50, 44), (20, 22, 18)])
@pytest.mark.parametrize("name", ["sobel", "prewitt"])
def test_operators_are_those_of_scikit_image(name, shape, rng):
    from skimage import filters

    array = texture(rng, shape)
    # Theirs is the root mean square of differences over two voxels that are not halved.
    theirs = getattr(filters, name)(array, mode="nearest") * np.sqrt(len(shape)) / 2
    for least in np.quantile(theirs, [0.3, 0.6, 0.9]) * (1 + 1e-9):
        found = find(name)(volume(array), threshold=float(least), thin=False).array
        np.testing.assert_array_equal(found != 0, theirs >= least)


@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
def test_canny_is_that_of_scikit_image(sigma, rng):
    from skimage.feature import canny

    array = texture(rng, (120, 100), 1.0)
    # Their slopes are 8 times the derivative. They keep off the border.
    theirs = canny(array, sigma, low_threshold=8.0, high_threshold=24.0, mode="nearest")
    found = find("canny")(volume(array), sigma_mm=sigma, low=1.0, high=3.0).array != 0
    inner = (slice(3, -3),) * 2
    assert theirs.sum() > 50
    # A contour that is strong only at the border is kept by one of both.
    assert dice(found[inner], theirs[inner]) > 0.99


@pytest.mark.parametrize("shape", [(60, 50), (24, 26, 22)])
def test_laplacian_of_gaussian_has_the_signs_of_scipy(shape, rng):
    from scipy.ndimage import gaussian_laplace

    array = texture(rng, shape, 1.0)
    theirs = gaussian_laplace(array, 2.5, mode="nearest")
    clear = np.abs(theirs) > 0.15 * np.abs(theirs).max()
    clear &= np.pad(np.ones([n - 4 for n in shape], bool), 2)  # they differentiate beyond the border as well
    bright = find("laplacian-of-gaussian")(volume(array), sigma_mm=2.5, show="bright").array != 0
    np.testing.assert_array_equal(bright[clear], theirs[clear] < 0)


@pytest.mark.parametrize("shape", [(60, 50), (24, 26, 22)])
def test_morphological_snakes_are_those_of_scikit_image(shape, rng, monkeypatch):
    from skimage.segmentation import morphological_chan_vese, morphological_geodesic_active_contour, morphsnakes

    def anew():
        # Theirs smooths in turn from outside and inside, and goes on next time where it has ended.
        both = (lambda u: u[0](u[1](u[2]))), (lambda u: u[1](u[0](u[2])))
        turn = itertools.cycle(both)
        monkeypatch.setattr(morphsnakes, "_curvop", lambda u: next(turn)((morphsnakes.sup_inf, morphsnakes.inf_sup, u)))

    array = texture(rng, shape)
    start = np.zeros(shape, np.uint8)
    start[tuple(slice(n // 3, 2 * n // 3) for n in shape)] = 1
    image = volume(array)
    seeds = LabelMap(start, image.grid, Labels.of({"x": 1}))
    scaled = (array - array.min()) / np.ptp(array)
    anew()
    theirs = morphological_chan_vese(scaled, 21, start.astype(np.int8), smoothing=1)
    found = find("morphological-chan-vese")(image, seeds=seeds, iterations=21, smoothing=1)
    np.testing.assert_array_equal(found.array, theirs)
    anew()
    theirs = morphological_geodesic_active_contour(
        1 / (1 + (slope(array) / 9.0) ** 2), 15, start.astype(np.int8), balloon=1, threshold=0.6
    )
    found = find("morphological-geodesic")(
        image, seeds=seeds, iterations=15, balloon=1.0, threshold=0.6, sigma_mm=0.0, edge_slope=9.0
    )
    np.testing.assert_array_equal(found.array, theirs)


def test_chan_vese_finds_a_lower_energy_than_scikit_image(rng):
    from skimage.segmentation import chan_vese

    array = texture(rng, (60, 50)) + rng.normal(0, 3, (60, 50))
    scaled = (array - array.min()) / np.ptp(array)
    found = find("chan-vese")(volume(array), length_weight_mm=0.4).array != 0
    contrast = (scaled[found].mean() - scaled[~found].mean()) ** 2
    theirs = chan_vese(scaled, mu=0.4 * contrast, max_num_iter=1000, tol=1e-5)
    theirs = theirs if scaled[theirs].mean() > scaled[~theirs].mean() else ~theirs

    def energy(inside):
        length = np.sqrt(sum(np.diff(inside.astype(float), axis=a, append=0)[:-1, :-1] ** 2 for a in (0, 1))).sum()
        return (
            sum(((scaled[part] - scaled[part].mean()) ** 2).sum() for part in (inside, ~inside))
            + 0.4 * contrast * length
        )

    assert dice(found, theirs) > 0.9
    assert energy(found) <= energy(theirs)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.8), (1.0, 0.8, 2.5)])
def test_fast_marching_is_that_of_simpleitk(spacing, rng):
    sitk = pytest.importorskip("SimpleITK")
    shape = tuple(round(40 / s) for s in spacing)
    array = texture(rng, shape)
    image = volume(array, spacing)
    centre = tuple(n // 2 for n in shape)
    mm = tuple(n * s for n, s in zip(centre, spacing, strict=True))
    speed = sitk.GetImageFromArray((1 / (1 + (slope(array, spacing) / 8.0) ** 2)).T.astype(np.float32))
    speed.SetSpacing(spacing)
    theirs = sitk.GetArrayFromImage(sitk.FastMarching(speed, [centre], 1.0, 1e6)).T
    found = find("fast-marching")(image, centre_mm=mm, radius_mm=1e-3, reach_mm=9.0, sigma_mm=0.0, edge_slope=8.0).array
    assert found.sum() > 30
    np.testing.assert_array_equal(found != 0, theirs <= 9.0)


def test_a_level_set_is_that_of_simpleitk(rng):
    sitk = pytest.importorskip("SimpleITK")
    array = texture(rng, (40, 44), 5.0) + 100.0
    image = volume(array)
    start = np.zeros(array.shape, np.uint8)
    start[array > np.quantile(array, 0.9)] = 1
    seeds = LabelMap(start, image.grid, Labels.of({"x": 1}))
    low, high = np.quantile(array, [0.6, 1.0])
    made = sitk.ThresholdSegmentationLevelSetImageFilter()
    made.SetLowerThreshold(low)
    made.SetUpperThreshold(high)
    made.SetPropagationScaling(2.0 / (high - low))
    made.SetCurvatureScaling(0.2)
    made.SetNumberOfIterations(300)
    made.SetMaximumRMSError(0.005)
    first = sitk.SignedMaurerDistanceMap(
        sitk.GetImageFromArray(start.T), insideIsPositive=False, squaredDistance=False, useImageSpacing=False
    )
    feature = sitk.GetImageFromArray(array.T.astype(np.float32))
    theirs = sitk.GetArrayFromImage(made.Execute(sitk.Cast(first, sitk.sitkFloat32), feature)).T < 0
    found = find("threshold-level-set")(
        image, seeds=seeds, above=float(low), below=float(high), iterations=300, curvature=0.2
    )
    assert found.array.sum() > 100
    assert dice(found.array, theirs) > 0.98  # the starts differ by half a pixel


def test_livewire_takes_the_cheapest_way(rng):
    """Dijkstra on a graph of our own finds the same length of way between two clicks."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra
    from skimage.graph import MCP_Geometric

    from vesalius.classical.gradients import flatness

    shape, spacing = (14, 12), (0.6, 1.4)
    cost = 0.05 + flatness(texture(rng, shape), spacing, sigma_mm=0.0, edge_slope=None)
    number = np.arange(cost.size).reshape(shape)
    rows, columns, lengths = [], [], []
    for i, j in np.ndindex(shape):
        for di, dj in ((0, 1), (1, 0), (1, 1), (1, -1)):
            if 0 <= i + di < shape[0] and 0 <= j + dj < shape[1]:
                rows.append(number[i, j])
                columns.append(number[i + di, j + dj])
                lengths.append(np.hypot(di * 0.6, dj * 1.4) * (cost[i, j] + cost[i + di, j + dj]) / 2)
    graph = coo_array((lengths, (rows, columns)), (cost.size, cost.size)).tocsr()
    ours = dijkstra(graph, directed=False, indices=0).reshape(shape)
    theirs, _ = MCP_Geometric(cost, fully_connected=True, sampling=spacing).find_costs([(0, 0)])
    np.testing.assert_allclose(theirs, ours)


@pytest.fixture
def spleen(shared_data):
    """The slice of a CT with the most spleen, what it is there, and a start that is 4 pixels smaller."""
    from scipy.ndimage import binary_erosion

    from vesalius.io import read, read_labels
    from vesalius.transform import crop, keep_largest

    image = read(shared_data / "msd_spleen_crop" / "ct.nii.gz")
    reference = read_labels(shared_data / "msd_spleen_crop" / "seg.nii.gz")
    axis = int(np.argmax(image.grid.spacing_mm))
    start, shape = [0, 0, 0], list(image.grid.shape)
    across = tuple(a for a in range(3) if a != axis)
    start[axis], shape[axis] = int(np.argmax((reference.array != 0).sum(axis=across))), 1
    image, reference = crop(image, start, shape), keep_largest(crop(reference, start, shape))
    inside = (reference.array != 0).squeeze(axis)
    labels = Labels.of({"spleen": 1})
    small = np.expand_dims(binary_erosion(inside, iterations=4), axis)
    seeds = keep_largest(LabelMap(small, image.grid, labels))
    return image.with_array(np.clip(image.array, -60, 160)), np.expand_dims(inside, axis), seeds, axis


@pytest.mark.parametrize(
    ("name", "least"),
    [("gradient-vector-flow", 0.95), ("morphological-chan-vese", 0.97), ("threshold-level-set", 0.93)],
)
def test_a_real_spleen(name, least, spleen):
    image, inside, seeds, axis = spleen
    assert dice(seeds.array, inside) < 0.92
    options = {"axis": axis} if name == "gradient-vector-flow" else {}
    assert dice(find(name)(image, seeds=seeds, **options).array, inside) > least


def test_a_real_spleen_by_six_clicks(spleen):
    from skimage.measure import find_contours

    image, inside, _, axis = spleen
    contour = max(find_contours(np.pad(inside.squeeze(axis), 1).astype(float), 0.5), key=len)[:-1] - 1.0
    clicks = contour[np.linspace(0, len(contour), 6, endpoint=False).astype(int)]
    index = np.insert(clicks, axis, 0.0, axis=1)
    points = tuple(float(x) for x in image.grid.to_points(index).ravel())
    found = find("livewire")(image, points=points, axis=axis, name="spleen")
    polygon = find("livewire")(image, points=points, axis=axis, length_weight=1000.0)  # straight from click to click
    assert dice(found.array, inside) > 0.95
    assert dice(polygon.array, inside) < 0.94
