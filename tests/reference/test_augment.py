"""Agreement of augmentation with independent software: SimpleITK, scipy, scikit-image, numpy's FFT."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import map_coordinates
from skimage.transform import iradon, radon

from vesalius.augment import Augmentation, Parameters, apply, sample, source_size
from vesalius.augment.ct_noise import add_ct_noise
from vesalius.augment.elastic import displacements
from vesalius.augment.ghosting import add_ghosts
from vesalius.augment.motion import move


def control(ndim, points, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.4 * (2 * torch.rand(ndim, *[points] * ndim, generator=generator) - 1)


@pytest.mark.parametrize(("patch", "points"), [((24, 40), 7), ((12, 20, 16), 6)])
def test_displacements_are_those_of_itks_b_spline(patch, points):
    drawn = control(len(patch), points)
    domain = sitk.Image([int(n) for n in patch], sitk.sitkFloat32)
    spline = sitk.BSplineTransform(len(patch), 3)
    spline.SetTransformDomainOrigin([-0.5] * len(patch))  # the outer borders of the voxels
    spline.SetTransformDomainPhysicalDimensions([float(n) for n in patch])
    spline.SetTransformDomainMeshSize([points - 3] * len(patch))
    spline.SetTransformDomainDirection(domain.GetDirection())
    lengths = [n / (points - 3) for n in patch]
    voxels = [part.numpy().astype(float) * n for part, n in zip(drawn, lengths, strict=True)]
    spline.SetParameters(np.concatenate([part.flatten(order="F") for part in voxels]).tolist())
    field = sitk.TransformToDisplacementField(spline, sitk.sitkVectorFloat64, domain.GetSize())
    expected = sitk.GetArrayFromImage(field).transpose(*reversed(range(len(patch))), -1)
    found = displacements(drawn, patch).numpy()
    for axis in range(len(patch)):
        np.testing.assert_allclose(found[axis], expected[..., axis], atol=1e-4)


@pytest.mark.parametrize("patch", [(24, 30), (12, 14, 16)])
def test_turn_scale_and_bend_are_one_resampling_as_scipys(patch):
    ndim = len(patch)
    spec = Augmentation(
        rotation_degrees=((-40.0, 40.0),) * (3 if ndim == 3 else 1),
        mirror_axes=tuple(range(ndim)),
        rotation_p=1.0,
        scale_p=1.0,
        elastic_p=1.0,
    )
    window = source_size(spec, patch)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, 1, *window, generator=generator)
    numbers = torch.arange(images.numel()).view(1, *window)
    drawn = sample(spec, 1, channels=1, generator=generator)
    still = Parameters.identity(1, ndim=ndim, channels=1)
    moved = {name: getattr(drawn, name) for name in ("rotation", "scale", "elastic")}
    found, labels = apply(images, numbers, still.__class__(**(vars(still) | moved)), patch, outside_label=-1)

    # The same map written down again: bend, then scale, then turn, about the centres.
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in patch], indexing="ij")).astype(float)
    places = voxels + displacements(drawn.elastic[0], patch).numpy() - (np.reshape(patch, (-1, *[1] * ndim)) - 1) / 2
    places *= drawn.scale[0].double().numpy().reshape(-1, *[1] * ndim)
    planes = ((0, 1),) if ndim == 2 else ((1, 2), (0, 2), (0, 1))
    for (a, b), angle in reversed(list(zip(planes, drawn.rotation[0].tolist(), strict=True))):
        cos, sin = np.cos(angle), np.sin(angle)
        places[a], places[b] = cos * places[a] + sin * places[b], -sin * places[a] + cos * places[b]
    start = [(w - n) // 2 for w, n in zip(window, patch, strict=True)]
    places += np.reshape([s + (n - 1) / 2 for s, n in zip(start, patch, strict=True)], (-1, *[1] * ndim))

    inside = np.all([(p >= 0) & (p <= n - 1) for p, n in zip(places, window, strict=True)], axis=0)
    expected = map_coordinates(images[0, 0].double().numpy(), places, order=1)
    np.testing.assert_allclose(found[0, 0].numpy()[inside], expected[inside], atol=2e-4)
    nearest = np.ravel_multi_index(np.rint(places).astype(int), window, mode="clip")
    clear = inside & np.all(np.abs(places - np.rint(places)) < 0.499, axis=0)
    np.testing.assert_array_equal(labels[0].numpy()[clear], nearest[clear])
    assert clear.mean() > 0.5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_ghosts_are_those_of_a_whole_fourier_transform(axis):
    """TorchIO's ``Ghosting.add_artifact`` with numpy: all planes of k-space, n-fold and from the edge."""
    signal = np.random.default_rng(0).random((16, 15, 12)).astype(np.float32)
    signal -= signal.min()
    spectrum = np.fft.fftshift(np.fft.fftn(signal))
    planes = np.moveaxis(spectrum, axis, 0)
    centre = planes[len(planes) // 2].copy()
    planes[::4] *= 1 - 0.7
    planes[len(planes) // 2] = centre
    expected = np.abs(np.fft.ifftn(np.fft.ifftshift(spectrum)))
    found = add_ghosts(torch.from_numpy(signal)[None], torch.tensor([0.7]), torch.tensor([4]), torch.tensor([axis]))
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-5)


def test_motion_is_that_of_a_whole_fourier_transform():
    """Poses by SimpleITK, k-space by numpy, lines as TorchIO's ``Motion`` shares them out."""
    size, angle, shift = (24, 20), 0.15, (2.5, -1.5)
    i, j = np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij")
    rough = 0.5 + np.random.default_rng(1).random(size)
    signal = (np.abs(i) < 0.5) * (np.abs(j) < 0.6) * rough.astype(np.float32)
    image = sitk.GetImageFromArray(signal.T)
    pose = sitk.Euler2DTransform([(n - 1) / 2 for n in size], -angle, shift)
    moved = sitk.GetArrayFromImage(sitk.Resample(image, image, pose, sitk.sitkLinear, 0.0)).T
    lines = (np.arange(size[0]) + 0.5) / size[0]
    spectra = [np.fft.fftshift(np.fft.fftn(x)) for x in (signal, moved)]
    expected = np.abs(np.fft.ifftn(np.fft.ifftshift(np.where((lines < 0.4)[:, None], spectra[1], spectra[0]))))
    found = move(
        torch.from_numpy(signal)[None],
        torch.tensor([[[angle]]]),
        torch.tensor([[shift]]),
        torch.tensor([[0.4]]),
        torch.tensor([0]),
    )
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-3)
    assert np.abs(signal - expected).max() > 0.1


def test_ct_noise_is_as_strong_as_backprojected_counts_say():
    """Scikit-image projects and backprojects: the variance there is the mean of 1 / count over all rays."""
    n = 64
    i, j = np.meshgrid(*[np.arange(n) - (n - 1) / 2] * 2, indexing="ij")
    body = ((i / 22) ** 2 + (j / 14) ** 2 < 1).astype(float)
    angles = np.arange(180.0)
    paths = radon(body, theta=angles, circle=True) / n
    attenuation = 3.0
    through = iradon(paths, theta=angles, filter_name=None, circle=True) * 2 / np.pi  # scikit-image scales by pi / 2
    inside = body > 0
    expected = attenuation * through
    images = torch.from_numpy(body).float()[None, None].repeat(600, 1, 1, 1)
    settings = [torch.full((600,), value) for value in (0.1, attenuation, 0.4)]
    noise = add_ct_noise(images, *settings, torch.arange(600)) - images
    measured = noise[:, 0].var(dim=0).log().numpy()
    # Both are known up to a constant: compare how they go up and down.
    a, b = measured[inside] - measured[inside].mean(), expected[inside] - expected[inside].mean()
    slope = (a @ b) / (b @ b)
    assert slope == pytest.approx(1.0, abs=0.15)
    assert np.corrcoef(a, b)[0, 1] > 0.85
