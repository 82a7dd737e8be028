"""Smoothing of any mesh: volumes, shared walls and topology stay, noise goes, nothing comes to cut itself."""

import numpy as np
import pytest
from bodies import ball, box, ring

from vesalius.errors import DataError
from vesalius.image import Grid, Label, LabelMap, Labels
from vesalius.io import read_labels
from vesalius.mesh import check, extract, smooth
from vesalius.mesh.crossings import crossings
from vesalius.mesh.shared import joined, parted
from vesalius.mesh.surface import Surface

METHODS = ("taubin", "sinc")
# What is inside, half widths, volume, area and handles, in mm; the ellipsoid's area by quadrature over the sphere.
SHAPES = {
    "sphere": (lambda x, y, z: x**2 + y**2 + z**2 < 225, (15, 15, 15), 14137.17, 2827.43, 0),
    "torus": (lambda x, y, z: (np.hypot(x, y) - 20) ** 2 + z**2 < 100, (30, 30, 10), 39478.42, 7895.68, 1),
    "ellipsoid": (
        lambda x, y, z: (x / 20) ** 2 + (y / 14) ** 2 + (z / 12) ** 2 < 1,
        (20, 14, 12),
        14074.34,
        2917.98,
        0,
    ),
}
REAL = (
    "spine_samples/vertebra_ct/sub-ct_seg-vert_label-22_msk.nii.gz",
    "msd_hippocampus/labels/hippocampus_001.nii.gz",
)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.8, 0.8, 1.5)])
@pytest.mark.parametrize("method", METHODS)
def test_volume_is_kept_and_area_comes_near_that_of_the_body(name, spacing_mm, method):
    inside, half_mm, volume, area, handles = SHAPES[name]
    counts = [int(h / s) + 3 for h, s in zip(half_mm, spacing_mm, strict=True)]
    axes = [(np.arange(-n, n + 1) + o) * s for n, o, s in zip(counts, (0.13, 0.31, 0.2), spacing_mm, strict=True)]
    array = inside(*np.meshgrid(*axes, indexing="ij"))
    labels = LabelMap(array, Grid.from_spacing(array.shape, spacing_mm), Labels.of({"shape": 1}))
    steps = extract(labels, smoothing_steps=0).of("shape")
    made = smooth(steps, method=method)

    assert made.volume_ml == pytest.approx(steps.volume_ml, rel=1e-4)
    assert made.volume_ml * 1000 == pytest.approx(volume, rel=0.005)
    assert steps.area_mm2 > 1.3 * area  # that of voxels
    assert made.area_mm2 == pytest.approx(area, rel=0.02)
    assert (made.genus, made.pieces) == (handles, 1)
    assert check(made).is_sound
    # Of Taubin's filter alone; the other shrinks by less than as much.
    alone = smooth(steps, method=method, pass_band=0.03 if method == "taubin" else 0.1, constant_volume=False)
    assert alone.volume_ml == pytest.approx(steps.volume_ml, rel=0.005)
    assert alone.volume_ml != pytest.approx(steps.volume_ml, rel=1e-6)


@pytest.mark.parametrize("path", REAL)
def test_volumes_of_real_organs_are_kept(shared_data, path):
    found = extract(read_labels(shared_data / path), smoothing_steps=0)
    made = smooth(found, method="taubin")

    assert len(crossings(made.vertices, made.faces)) == 0
    for before, after in zip(found.surfaces(), made.surfaces(), strict=True):
        assert after.volume_ml == pytest.approx(before.volume_ml, rel=0.005)
        assert after.area_mm2 < before.area_mm2
        assert (after.genus, after.pieces) == (before.genus, before.pieces)
        assert check(after).is_sound


@pytest.mark.parametrize("method", METHODS)
def test_neighbours_keep_their_wall_and_the_volume_of_each(method):
    x, y, z = np.meshgrid(*[np.arange(-13, 14)] * 3, indexing="ij")
    away = np.sqrt(x**2 + y**2 + z**2)
    array = np.where(away < 11, np.where(x < 0.4 * y, 1, 2), 0)
    array[np.sqrt((x + 4) ** 2 + y**2 + z**2) < 3] = 3
    names = Labels.of({"left": 1, "right": 2, "lesion": 3}, regions={"organ": (1, 2, 3)})
    found = extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), names), smoothing_steps=0)
    made = smooth(found, method=method)

    np.testing.assert_array_equal(made.faces, found.faces)
    assert len(crossings(made.vertices, made.faces)) == 0
    for name in ("left", "right", "lesion", "organ"):
        assert check(made.of(name)).is_sound, name
        assert made.of(name).volume_ml == pytest.approx(found.of(name).volume_ml, rel=0.002)
    parts = sum(surface.volume_ml for surface in made.surfaces())
    assert parts == pytest.approx(made.of("organ").volume_ml, rel=1e-9)


def test_noise_on_a_mesh_from_elsewhere_goes(rng):
    clean = ball(20.0)
    normals = clean.vertices / np.linalg.norm(clean.vertices, axis=1, keepdims=True)
    noisy = Surface(clean.vertices + rng.normal(0, 0.15, (len(normals), 1)) * normals, clean.faces, clean.label)
    for method in METHODS:
        made = smooth(noisy, method=method)
        left = np.linalg.norm(made.vertices, axis=1).std() / np.linalg.norm(noisy.vertices, axis=1).std()
        assert left < 0.5
        assert made.volume_ml == pytest.approx(noisy.volume_ml, rel=1e-4)
        assert made.label == clean.label


def test_sinc_keeps_low_frequencies_and_takes_high_ones():
    """On an even ring of a long tube, waves along it are what the filter's frequencies are."""
    count, around = 160, 16
    u, v = np.meshgrid(np.arange(count), np.arange(around), indexing="ij")
    i, j = u, v
    a, b, c, d = (
        i * around + j,
        (i + 1) % count * around + j,
        (i + 1) % count * around + (j + 1) % around,
        i * around + (j + 1) % around,
    )
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])

    def tube(waves: int) -> Surface:
        turn, angle = u / count * 2 * np.pi, v / around * 2 * np.pi
        away = 200 + 20 * np.cos(angle) * (1 + 0.05 * np.cos(waves * turn))
        height = 20 * np.sin(angle) * (1 + 0.05 * np.cos(waves * turn))
        points = np.stack([away * np.cos(turn), away * np.sin(turn), height], axis=-1).reshape(-1, 3)
        return Surface(points, faces.astype(np.int32), Label("tube", 1))

    def amplitude(surface: Surface, waves: int) -> float:
        rho = np.hypot(np.hypot(surface.vertices[:, 0], surface.vertices[:, 1]) - 200, surface.vertices[:, 2])
        along = rho.reshape(count, around).mean(axis=1)
        return float(abs(np.fft.rfft(along)[waves]) * 2 / count)

    for method in METHODS:
        kept = [amplitude(smooth(tube(w), method=method, pass_band=0.2), w) / amplitude(tube(w), w) for w in (4, 70)]
        assert kept[0] > 0.9
        assert kept[1] < 0.1


def test_where_smoothing_would_cut_it_steps_back():
    """Two plates, each with a thorn that stands through a hole's width beside the other: what shrinks would meet."""
    array = np.zeros((30, 30, 9), np.uint8)
    array[2:28, 2:28, 2] = 1
    array[2:28, 2:28, 4] = 2
    array[8:22:3, 8:22:3, 3] = 1
    thin = extract(
        LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), Labels.of([1, 2])), smoothing_steps=0, slices="keep"
    )
    free = smooth(thin, steps=200, pass_band=0.001, constant_volume=False)
    assert len(crossings(free.vertices, free.faces)) == 0
    for surface in smooth(thin, steps=200, pass_band=0.001).surfaces():
        assert check(surface).is_sound


def test_the_edge_of_a_hole_stays_and_nothing_is_done_in_no_steps():
    whole = ball(10.0)
    bowl = Surface(whole.vertices, whole.faces[whole.vertices[whole.faces][..., 2].max(axis=1) < 2], whole.label)
    made = smooth(bowl)
    edge = bowl.vertices[:, 2] == bowl.vertices[np.unique(bowl.faces), 2].max()
    kept = {tuple(point) for point in made.vertices}
    assert {tuple(point) for point in bowl.vertices[edge]} <= kept
    np.testing.assert_array_equal(smooth(whole, steps=0).area_mm2, whole.area_mm2)


def test_what_was_put_together_comes_apart_again():
    left, right = box((4, 4, 4), name="left"), box((4, 4, 4), centre_mm=(4, 0, 0), name="right", value=9)
    made = joined([left, right])
    assert (len(made.vertices), len(made.faces)) == (12, 22)
    again = parted(made, [left, right])
    assert [s.label for s in again] == [left.label, right.label]
    assert [s.volume_ml for s in again] == pytest.approx([0.064, 0.064])
    np.testing.assert_array_equal(parted(joined([ring()]), [ring()])[0].faces, ring().faces)  # in the same order
    twice = joined([ring(), ring()])  # both on the same side: each keeps its own
    assert len(twice.faces) == 2 * len(ring().faces)


def test_what_cannot_be_is_refused():
    with pytest.raises(DataError, match="did you mean 'taubin'"):
        smooth(ball(), method="taubim")
    for wrong in ({"steps": -1}, {"pass_band": 0}, {"pass_band": 2}):
        with pytest.raises(DataError, match="must be"):
            smooth(ball(), **wrong)
