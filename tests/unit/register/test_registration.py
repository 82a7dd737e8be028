"""What is known to have been moved is found again; what cannot be registered is refused or doubted."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.register import Alignment, align, register, similarity
from vesalius.transform import resample

pytest.importorskip("SimpleITK")

GRID = Grid.from_spacing((40, 46, 34), (2.4, 2.4, 3.0), origin_mm=(-40.0, 30.0, 5.0))


def head(seed: int = 0, grid: Grid = GRID) -> Volume:
    """An egg with some bodies in it: nothing about it is symmetric."""
    points = np.moveaxis(grid.to_points(np.moveaxis(np.indices(GRID.shape), 0, -1)), -1, 0)
    middle = grid.to_points((np.asarray(GRID.shape) - 1) / 2)
    x, y, z = (p - m for p, m in zip(points, middle, strict=True))
    image = 60.0 * ((x / 34) ** 2 + (y / 44) ** 2 + (z / 36) ** 2 < 1)
    rng = np.random.default_rng(7)
    for number in range(12):
        a, b, c = rng.uniform(-20, 20, 3)
        image[(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < rng.uniform(4, 9) ** 2] = 20 + 15 * number
    noise = np.random.default_rng(seed).normal(0, 1.5, image.shape)
    return Volume((ndimage.gaussian_filter(image, 0.8) + noise)[None].astype(np.float32), grid)


def moved(image: Volume, pose: np.ndarray) -> Volume:
    """The image as it is when its patient has moved by a pose."""
    return resample(Volume(image.array, Grid(image.grid.shape, pose @ image.grid.affine)), image.grid)


def pose_of(angles_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> np.ndarray:
    """Turned about the middle of the grid."""
    middle = GRID.to_points((np.asarray(GRID.shape) - 1) / 2)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    pose[:3, 3] = middle - pose[:3, :3] @ middle + shift_mm
    return pose


def error_mm(found: Alignment, pose: np.ndarray) -> float:
    """Mean over the points of the head."""
    points = GRID.to_points(np.argwhere(head().array[0] > 30)[::50])
    wanted = points @ pose[:3, :3].T + pose[:3, 3]
    return float(np.linalg.norm(found.to_moving(points) - wanted, axis=1).mean())


@pytest.mark.parametrize(
    ("angles", "shift"), [((30, 0, 0), (6, -4, 3)), ((0, 0, -30), (0, 10, 0)), ((4, -6, 5), (1, 2, 3))]
)
def test_a_head_that_was_turned_is_found(angles, shift):
    pose = pose_of(angles, shift)
    found = register(moved(head(1), pose), head(), kind="rigid")
    assert error_mm(found, pose) < 0.4
    assert found.fitness.after > found.fitness.before
    assert found.fitness.doubts == ()


def test_another_contrast_is_registered_by_mutual_information():
    pose = pose_of((0, 12, 0), (3, 0, 5))
    dark = moved(head(1), pose)
    other = dark.with_array(np.abs(90 - dark.array))
    assert error_mm(register(other, head(), kind="rigid"), pose) < 1.0


def test_an_affine_map_is_found():
    pose = pose_of((5, 0, 10), (4, 4, -3))
    pose[:3, :3] = pose[:3, :3] @ np.diag([1.08, 0.95, 1.05])
    found = register(moved(head(1), pose), head(), kind="affine", measure="correlation")
    assert error_mm(found, pose) < 0.5
    assert error_mm(register(moved(head(1), pose), head(), kind="rigid", measure="correlation"), pose) > 1.0


def test_a_deformation_is_found_and_does_not_fold():
    texture = 300 * ndimage.gaussian_filter(np.random.default_rng(5).normal(size=GRID.shape), 1.5)
    image = Volume((head().array + texture).astype(np.float32), GRID)
    axes = np.indices(GRID.shape) * (2 * np.pi / np.asarray(GRID.shape).reshape(3, 1, 1, 1))
    bent = np.stack([4 * np.sin(axes[1]), 4 * np.sin(axes[0]), 3 * np.sin(axes[1])]).astype(np.float32)
    fixed = align(image, Alignment(np.eye(4), Volume(bent, GRID)), GRID)
    found = register(image, fixed, kind="deformable", start="headers")
    inside = ndimage.binary_erosion(head().array[0] > 30, iterations=2)
    points = GRID.to_points(np.argwhere(inside))
    off = found.to_moving(points) - points - bent[:, inside].T
    assert np.linalg.norm(off, axis=1).mean() < 0.35 * np.linalg.norm(bent[:, inside], axis=0).mean()
    assert found.fitness.folded == 0
    assert found.fitness.after > found.fitness.before


def test_pictures_are_registered_too():
    x, y = np.meshgrid(np.arange(96.0), np.arange(80.0), indexing="ij")
    grid = Grid.from_spacing((96, 80), (0.5, 0.5))
    image = 50.0 * ((x - 45) ** 2 / 900 + (y - 40) ** 2 / 400 < 1) + 80.0 * (np.hypot(x - 60, y - 33) < 7)
    fixed = Volume(ndimage.gaussian_filter(image, 1)[None], grid)
    angle = np.deg2rad(90)
    turn = np.array([[np.cos(angle), -np.sin(angle), 40], [np.sin(angle), np.cos(angle), -3], [0, 0, 1]])
    found = register(moved(fixed, turn), fixed, kind="rigid")
    assert np.linalg.norm(found.to_moving([[30.0, 16.5], [22.0, 20.0]]) - ([[23.5, 27.0], [20.0, 19.0]])) < 0.5


def test_a_thin_slab_is_registered_too():
    grid = Grid.from_spacing((96, 96, 5), (1.0, 1.0, 4.0))
    x, y, z = np.indices(grid.shape)
    image = 60.0 * ((x - 48) ** 2 / 1600 + (y - 48) ** 2 / 900 < 1) + 50.0 * (np.hypot(x - 60, y - 40 - 2 * z) < 9)
    fixed = Volume(ndimage.gaussian_filter(image, (1, 1, 0))[None], grid)
    shifted = Volume(fixed.array, Grid(grid.shape, np.array(grid.affine) + np.pad([[5.0], [-3.0]], ((0, 2), (3, 0)))))
    found = register(shifted, fixed, kind="deformable", measure="correlation")
    assert np.linalg.norm(found.to_moving([50.0, 50.0, 8.0]) - [55.0, 47.0, 8.0]) < 0.5


def test_the_same_images_give_the_same_alignment():
    pose = pose_of((10, 0, 0), (5, 0, 0))
    once, again = (register(moved(head(1), pose), head(), kind="rigid", seed=3) for _ in range(2))
    assert np.array_equal(once.matrix, again.matrix)


def test_images_that_fit_already_stay_where_they_are():
    found = register(head(), head(), kind="affine", measure="correlation")
    assert error_mm(found, np.eye(4)) < 0.1
    assert found.fitness.after >= found.fitness.before > 0.999


def test_what_is_left_out_takes_no_part():
    # Large bright stripes that the other image does not have.
    lesion = np.zeros(GRID.shape, np.uint8)
    lesion[6:34, 28:40, 6:28] = 1
    pose = pose_of((0, 0, 0), (8, 0, 0))
    bright = 1000.0 * (np.indices(GRID.shape)[0] % 7 > 2)
    images = (moved(head(1), pose), Volume(np.where(lesion, bright, head().array[0])[None], GRID))
    lesions = LabelMap(lesion, GRID, Labels.of({"lesion": 1}))
    found = register(*images, kind="rigid", measure="correlation", start="headers", leave_out=lesions)
    misled = register(*images, kind="rigid", measure="correlation", start="headers")
    assert error_mm(found, pose) < 1.0 < error_mm(misled, pose)


def test_a_small_overlap_is_a_doubt():
    whole = head()
    part = Volume(whole.array[:, :, :, :14], GRID.crop((0, 0, 0), (40, 46, 14)))
    found = register(part, whole, kind="rigid", start="headers")
    assert any("inside the moving one" in doubt for doubt in found.fitness.doubts)


def test_images_apart_cannot_start_from_their_headers():
    far = Volume(head().array, Grid(GRID.shape, pose_of((0, 0, 0), (500, 0, 0)) @ GRID.affine))
    with pytest.raises(DataError, match="do not cover each other"):
        register(far, head(), start="headers")
    found = register(far, head(), kind="rigid")
    assert np.isnan(found.fitness.before)
    assert error_mm(found, pose_of((0, 0, 0), (500, 0, 0))) < 0.4


def test_what_cannot_be_registered_is_refused():
    one = head()
    with pytest.raises(GeometryError, match="2D image"):
        register(Volume(one.array[:, :, :, 0], Grid.from_spacing((40, 46), (1.0, 1.0))), one)
    with pytest.raises(DataError, match="moving image has 2 channels"):
        register(Volume(np.repeat(one.array, 2, 0), GRID), one)
    with pytest.raises(DataError, match="single grey value"):
        register(one, one.with_array(one.array * 0))
    with pytest.raises(DataError, match="4 along each axis"):
        register(Volume(one.array[..., :2], GRID.crop((0, 0, 0), (40, 46, 2))), one)
    with pytest.raises(VesaliusError, match="did you mean 'rigid'"):
        register(one, one, kind="rigit")
    with pytest.raises(VesaliusError, match="unknown measure"):
        register(one, one, measure="dice")
    nothing = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, Labels.of({"brain": 1}))
    with pytest.raises(DataError, match="nothing of the fixed image"):
        register(one, one, within=nothing)


def test_similarity_by_hand():
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert similarity(a, b) == pytest.approx(1)  # H(A) + H(B) = 2 log 2 = H(A, B)
    assert similarity(a, -a) == pytest.approx(2)
    # Three of four cells: H = log 2 and (3/4) log 4/3 + (1/4) log 4, together (1/2) log 2 + (1/2) log 4.
    c = np.array([0, 0, 0, 1])
    wanted = (np.log(2) + 0.75 * np.log(4 / 3) + 0.25 * np.log(4)) / (0.5 * np.log(2) + 0.5 * np.log(4))
    assert similarity(a, c) == pytest.approx(wanted)
    assert similarity(a, c, "correlation") == pytest.approx(1 / 3)
