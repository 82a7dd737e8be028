"""Agreement with SimpleITK, scipy and scikit-image."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from skimage import measure
from skimage import transform as sk

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform import Normalisation, label_components, normalise, resample, respace, stretch

ITK = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "cubic": sitk.sitkBSpline}


def rotation(*angles: float) -> np.ndarray:
    x, y, z = angles
    turn = np.eye(3)
    for axis, angle in enumerate((x, y, z)):
        step = np.eye(3)
        a, b = [k for k in range(3) if k != axis]
        step[[a, b], [a, b]] = np.cos(angle)
        step[a, b], step[b, a] = -np.sin(angle), np.sin(angle)
        turn = turn @ step
    return turn


def sheared(grid: Grid) -> Grid:
    affine = grid.affine.copy()
    affine[1, 2] += 0.4 * grid.spacing_mm[2]
    return Grid(grid.shape, affine)


SOURCE = Grid.from_spacing((21, 18, 15), (1.0, 1.3, 2.1), origin_mm=(-8.0, 40.0, 3.0))
OBLIQUE = Grid.from_spacing(
    (21, 18, 15), (1.0, 1.3, 2.1), origin_mm=(-8.0, 40.0, 3.0), direction=rotation(0.2, -0.4, 0.7)
)
PAIRS = {
    "finer": (SOURCE, SOURCE.with_spacing((0.61, 0.57, 0.9))),
    "coarser": (SOURCE, SOURCE.with_spacing((1.7, 2.2, 3.3))),
    "shifted": (SOURCE, SOURCE.crop((3, -4, 2), (20, 20, 20)).with_spacing((0.83, 1.9, 2.0))),
    "flipped and permuted": (SOURCE, SOURCE.permute((2, 0, 1)).flip((0, 2)).with_spacing((1.1, 0.9, 1.2))),
    "oblique and parallel": (OBLIQUE, OBLIQUE.permute((1, 2, 0)).with_spacing((0.7, 1.9, 0.9))),
    "from straight to oblique": (
        SOURCE,
        Grid.from_spacing(
            (24, 23, 22), (0.8, 1.1, 1.0), origin_mm=(-8.0, 48.0, 9.0), direction=rotation(0.3, 0.1, -0.5)
        ),
    ),
    "from oblique to straight": (OBLIQUE, SOURCE.with_spacing((1.2, 0.8, 1.6))),
    "from sheared": (sheared(SOURCE), SOURCE.with_spacing((0.9, 0.9, 1.7))),
}


def to_itk(array: np.ndarray, grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction.ravel())
    return image


def itk(array: np.ndarray, source: Grid, target: Grid, interpolation: str, fill: float) -> np.ndarray:
    image = sitk.Resample(
        to_itk(array, source),
        target.shape,
        sitk.Transform(),
        ITK[interpolation],
        target.origin_mm,
        target.spacing_mm,
        target.direction.ravel(),
        fill,
    )
    return sitk.GetArrayFromImage(image).T


def sheared_itk(array: np.ndarray, source: Grid, target: Grid, interpolation: str, fill: float) -> np.ndarray:
    """SimpleITK asks for orthogonal axes, so the shear goes into the transform: from points to index millimetres."""
    straight = Grid.from_spacing(source.shape, source.spacing_mm)
    affine = straight.affine @ np.linalg.inv(source.affine)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(affine[:3, :3].ravel())
    transform.SetTranslation(affine[:3, 3])
    image = sitk.Resample(
        to_itk(array, straight),
        target.shape,
        transform,
        ITK[interpolation],
        target.origin_mm,
        target.spacing_mm,
        target.direction.ravel(),
        fill,
    )
    return sitk.GetArrayFromImage(image).T


def smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (ndimage.gaussian_filter(rng.normal(size=shape), 1.0) * 1000).astype(np.float32)


def place(source: Grid, target: Grid) -> np.ndarray:
    """Where the target's points lie in the source, index units, axis first."""
    every = np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij"), axis=-1)
    return np.moveaxis(source.to_index(target.to_points(every)), -1, 0)


def apart(at: np.ndarray, shape: tuple[int, ...], interpolation: str) -> np.ndarray:
    """Points at which rounding errors do not decide: clear of the extent's border, and of ties for the nearest."""
    clear = np.ones(at.shape[1:], bool)
    for index, length in zip(at, shape, strict=True):
        clear &= (np.abs(index + 0.5) > 1e-4) & (np.abs(index - length + 0.5) > 1e-4)
        if interpolation == "nearest":
            clear &= np.abs(index % 1 - 0.5) > 1e-4
        if interpolation == "cubic":
            # In the rim ITK follows the curve's mirror image, here the edge's value goes on.
            clear &= ((index >= 0) & (index <= length - 1)) | (index < -0.5) | (index > length - 0.5)
    return clear


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("pair", PAIRS)
def test_simpleitk_resamples_alike(pair: str, interpolation: str, rng: np.random.Generator) -> None:
    source, target = PAIRS[pair]
    array = smooth(rng, source.shape)
    made = resample(Volume(array[None], source), target, interpolation=interpolation, fill=-77.0).array[0]
    peer = (sheared_itk if pair == "from sheared" else itk)(array, source, target, interpolation, -77.0)
    clear = apart(place(source, target), source.shape, interpolation)
    assert clear.mean() > 0.7
    assert (made[clear] != -77.0).mean() > 0.3
    np.testing.assert_allclose(made[clear], peer[clear], atol=1e-5 * np.ptp(array), rtol=0)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_simpleitk_resamples_pictures_alike(interpolation: str, rng: np.random.Generator) -> None:
    source = Grid.from_spacing((40, 31), (0.7, 1.1), origin_mm=(3.0, -2.0))
    turn = [[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]]
    array = smooth(rng, source.shape)
    for target in (source.with_spacing((0.3, 2.0)), Grid.from_spacing((50, 50), (0.6, 0.6), direction=turn)):
        made = resample(Volume(array[None], source), target, interpolation=interpolation, fill=5.0).array[0]
        peer = itk(array, source, target, interpolation, 5.0)
        clear = apart(place(source, target), source.shape, interpolation)
        np.testing.assert_allclose(made[clear], peer[clear], atol=1e-5 * np.ptp(array), rtol=0)


@pytest.mark.parametrize("pair", PAIRS)
def test_scipy_makes_the_same_cubic_in_the_rim_too(pair: str, rng: np.random.Generator) -> None:
    source, target = PAIRS[pair]
    array = smooth(rng, source.shape)
    made = resample(Volume(array[None], source), target, interpolation="cubic", fill=-77.0).array[0]
    at = place(source, target)
    edge = np.stack([np.clip(index, 0, length - 1) for index, length in zip(at, source.shape, strict=True)])
    peer = ndimage.map_coordinates(array, edge, order=3, mode="mirror", output=np.float64)
    outside = np.any([(i < -0.5) | (i > n - 0.5) for i, n in zip(at, source.shape, strict=True)], axis=0)
    clear = apart(at, source.shape, "linear")
    expected = np.where(outside, -77.0, peer)
    np.testing.assert_allclose(made[clear], expected[clear], atol=2e-6 * np.ptp(array), rtol=0)


@pytest.mark.parametrize("factor", [2.0, 3.0, 5.3])
def test_scikit_image_smooths_alike(factor: float, rng: np.random.Generator) -> None:
    source = Grid.from_spacing((64, 50, 45), (1.0, 1.0, 1.0))
    target = source.with_spacing((factor,) * 3)
    array = rng.normal(size=source.shape)
    made = resample(Volume(array[None], source), target, antialias=True).array[0]
    step = [n / m for n, m in zip(source.shape, target.shape, strict=True)]
    blurred = ndimage.gaussian_filter(array, [(factor - 1) / 2] * 3, mode="nearest")
    at = place(source, target)
    peer = ndimage.map_coordinates(blurred, np.clip(at, 0, np.reshape(source.shape, (3, 1, 1, 1)) - 1), order=1)
    np.testing.assert_allclose(made, peer, atol=1e-5)
    if all(abs(s - factor) < 1e-9 for s in step):
        whole = sk.resize(array, target.shape, order=1, mode="edge", anti_aliasing=True)
        np.testing.assert_allclose(made, whole, atol=1e-5)


def nnunet_plane_by_plane(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """nnU-Net's `resample_data_or_seg` with separate z: order 3 in the plane, order 0 through it."""
    planes = np.stack(
        [sk.resize(array[..., k], shape[:2], 3, mode="edge", anti_aliasing=False) for k in range(array.shape[2])], -1
    )
    nearest = np.floor((np.arange(shape[2]) + 0.5) * array.shape[2] / shape[2]).astype(int)
    return planes[..., nearest]


def test_nnunet_resamples_anisotropic_images_alike(rng: np.random.Generator) -> None:
    source = Grid.from_spacing((40, 44, 7), (1.0, 1.0, 6.0))
    array = smooth(rng, source.shape).astype(np.float64)
    target = source.with_spacing((0.8, 0.8, 4.2))
    made = respace(Volume(array[None], source), target.spacing_mm, interpolation="cubic").array[0]
    peer = nnunet_plane_by_plane(array, target.shape)
    # Apart from the border, where scikit-image pads by the edge before the spline and the spline here is mirrored.
    inner = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(made[inner], peer[inner], atol=1e-3 * np.ptp(array))
    assert np.corrcoef(made.ravel(), peer.ravel())[0, 1] > 0.999


def nnunet_labels(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """nnU-Net's `resize_segmentation` of order 1: each label by itself, at least half of it."""
    made = np.zeros(shape, array.dtype)
    for value in np.unique(array):
        share = sk.resize((array == value).astype(float), shape, 1, mode="edge", clip=True, anti_aliasing=False)
        made[share >= 0.5] = value
    return made


def test_nnunet_resamples_real_labels_alike(shared_data: Path) -> None:
    path = shared_data / "msd_hippocampus" / "labels" / "hippocampus_001.nii.gz"
    array = np.asarray(nibabel.load(path).dataobj).astype(np.uint8)
    grid = Grid.from_spacing(array.shape, (1.0, 1.0, 1.0))
    labelmap = LabelMap(array, grid, Labels.of([1, 2]))
    # A factor that cuts every axis into whole voxels, so that both mean the same extent.
    made = respace(labelmap, (0.5, 0.5, 0.5), interpolation="label-wise").array
    peer = nnunet_labels(array, made.shape)
    # They differ where three labels meet and none has a half: nnU-Net leaves background there.
    assert (made != peer).mean() < 2e-3
    for value in (1, 2):
        both = ((made == value) & (peer == value)).sum()
        assert 2 * both / ((made == value).sum() + (peer == value).sum()) > 0.995


def test_there_and_back_a_real_segmentation_is_nearly_itself(shared_data: Path) -> None:
    path = shared_data / "msd_hippocampus" / "labels" / "hippocampus_004.nii.gz"
    array = np.asarray(nibabel.load(path).dataobj).astype(np.uint8)
    grid = Grid.from_spacing(array.shape, (1.0, 1.0, 1.0), direction=rotation(0.1, 0.2, 0.3))
    labelmap = LabelMap(array, grid, Labels.of([1, 2]))
    there = respace(labelmap, (0.7, 0.8, 0.6), interpolation="label-wise")
    back = resample(there, grid, interpolation="label-wise").array
    for value in (1, 2):
        both = ((back == value) & (array == value)).sum()
        assert 2 * both / ((back == value).sum() + (array == value).sum()) > 0.97


def test_simpleitk_normalises_alike(rng: np.random.Generator) -> None:
    array = rng.gamma(2.0, 100.0, (12, 13, 14)).astype(np.float32)
    grid = Grid.from_spacing(array.shape, (1.0, 1.0, 1.0))
    made = normalise(Volume(array[None], grid), [Normalisation("z_score")]).array[0]
    peer = sitk.GetArrayFromImage(sitk.Normalize(sitk.GetImageFromArray(array)))
    # ITK divides by the sample's standard deviation (n - 1), nnU-Net and this by the population's (n).
    np.testing.assert_allclose(made, peer * np.sqrt(array.size / (array.size - 1)), atol=1e-4)


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_scikit_image_finds_the_same_components(connectivity: int, rng: np.random.Generator) -> None:
    binary = rng.random((20, 25, 30)) < 0.2
    _, sizes = label_components(binary, connectivity=connectivity)
    peer = np.bincount(measure.label(binary, connectivity=connectivity).ravel())[1:]
    assert sorted(sizes) == sorted(peer)


@pytest.mark.parametrize("shape", [(10, 5, 13), (33, 9, 4), (1, 9, 11)])
@pytest.mark.parametrize(("order", "interpolation"), [(3, "cubic"), (1, "linear")])
def test_stretching_is_scikit_images_resize(shape, order, interpolation):
    array = np.random.default_rng(0).normal(size=(7, 9, 11))
    volume = Volume(array[None], Grid.from_spacing(array.shape, (1.0, 1.0, 1.0)))
    expected = sk.resize(array, shape, order, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(stretch(volume, shape, interpolation=interpolation).array[0], expected, atol=2e-6)
