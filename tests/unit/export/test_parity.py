"""The check: what is compared, and what is refused."""

from dataclasses import replace

import pytest
import torch
from phantoms import as_cascade, ball_dataset, untrained_bundle
from torch import Tensor

from vesalius.errors import PlanError
from vesalius.export.graph import averaged, mirrored
from vesalius.export.parity import TOLERANCES, check, compare, enlarged, noise, windows_of
from vesalius.export.report import Parity
from vesalius.plan import Plan
from vesalius.predict.views import AS_IT_IS, views_of


@pytest.fixture(scope="module")
def plan() -> Plan:
    return untrained_bundle(ball_dataset(2), patch_size=(8, 16, 8)).plan


def two_classes(windows: Tensor) -> Tensor:
    return torch.cat([windows, -windows], dim=1)


def test_windows_are_those_of_inference(plan):
    image = torch.arange(16.0 * 20 * 8).reshape(1, 16, 20, 8)
    windows = windows_of(image, plan)
    assert [tuple(window.shape) for window in windows] == [(1, 1, 8, 16, 8)] * 4
    assert torch.equal(windows[0][0], image[:, 4:12, 4:20])
    assert len({window.flatten()[0].item() for window in windows}) == 4
    assert len(windows_of(image, plan, most=2)) == 2


def test_a_small_image_is_padded_on_both_sides(plan):
    (window,) = windows_of(torch.ones(1, 5, 16, 7), plan)
    assert window.shape == (1, 1, 8, 16, 8)
    # As inference does: (missing // 2) before, the rest after.
    assert window[0, 0, :, 0, 0].tolist() == [0, 1, 1, 1, 1, 1, 0, 0]
    assert window[0, 0, 1, 0].tolist() == [1, 1, 1, 1, 1, 1, 1, 0]


def test_noise_is_like_a_normalised_image_and_always_the_same(plan):
    windows = noise(plan)
    assert len(windows) == 4
    for window, again in zip(windows, noise(plan), strict=True):
        assert torch.equal(window, again)
        assert abs(float(window.mean())) < 1e-5
        assert float(window.std()) == pytest.approx(1, abs=1e-3)
        # Neighbours are alike, as in an image.
        assert float(torch.corrcoef(torch.stack([window[..., 1:].flatten(), window[..., :-1].flatten()]))[0, 1]) > 0.5


def test_noise_of_a_coarse_stage_is_labels(plan):
    fine = as_cascade(plan)
    (window,) = noise(fine, most=1)
    assert window.shape[1] == 3
    assert set(window[:, 1:].unique().tolist()) == {0.0, 1.0}
    assert window[:, :1].unique().numel() > 100


def test_what_is_the_same_is_the_same():
    windows = [torch.randn(1, 1, 8, 8) for _ in range(3)]
    found = compare(two_classes, two_classes, windows, source="a case", regions=False)
    assert (found.windows, found.source, found.max_difference, found.label_agreement) == (3, "a case", 0.0, 1.0)
    assert found.largest_logit == max(float(window.abs().max()) for window in windows)
    check(found, "fp32")


@pytest.mark.parametrize(("regions", "agreement"), [(False, 0.75), (True, 0.875)])
def test_differences_are_counted(regions, agreement):
    """One of four voxels has other labels: of two regions there, one is different."""
    window = torch.tensor([[[[1.0, 1.0], [1.0, 1.0]]]])

    def other(windows: Tensor) -> Tensor:
        logits = two_classes(windows)
        logits[0, 1, 0, 0] = 3.0
        return logits

    found = compare(two_classes, other, [window], source="", regions=regions)
    assert found.max_difference == 4.0
    assert found.label_agreement == agreement


@pytest.mark.parametrize(
    ("artefact", "words"),
    [
        (lambda windows: windows, r"logits of shape \(1, 1, 8, 8\), not \(1, 2, 8, 8\)"),
        (lambda windows: two_classes(windows) / 0, "not finite"),
        (lambda windows: two_classes(windows) * torch.nan, "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(artefact, words):
    with pytest.raises(PlanError, match=words):
        compare(two_classes, artefact, [torch.randn(1, 1, 8, 8)], source="", regions=False)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_the_tolerance_is_kept(precision):
    allowed = TOLERANCES[precision]
    good = Parity(windows=1, source="", max_difference=0.0, largest_logit=20.0, label_agreement=allowed.agreement)
    check(good, precision)
    with pytest.raises(PlanError, match=r"agrees in 9\d\.\d+% of the labels .*nothing was written"):
        check(replace(good, label_agreement=allowed.agreement - 1e-6), precision)
    if precision != "int8":
        check(replace(good, max_difference=20 * allowed.difference), precision)
        with pytest.raises(PlanError, match="differs from the bundle by up to"):
            check(replace(good, max_difference=20.1 * allowed.difference), precision)


def test_a_larger_window_has_one_step_more_on_every_free_axis():
    assert enlarged(torch.zeros(1, 3, 16, 24), {0: 1, 2: 4, 3: 8}).shape == (2, 3, 20, 32)
    assert enlarged(torch.zeros(1, 3, 16, 24), {}).shape == (1, 3, 16, 24)


def test_several_networks_become_one():
    networks = [torch.nn.Conv2d(1, 2, 3, padding=1).eval() for _ in range(3)]
    assert averaged(networks[:1]) is networks[0]
    x = torch.randn(1, 1, 6, 6)
    expected = torch.stack([network(x) for network in networks]).mean(0)
    torch.testing.assert_close(averaged(networks)(x), expected)


def test_mirror_images_become_part_of_the_network():
    network = torch.nn.Conv2d(1, 2, 3, padding=1).eval()
    assert mirrored(network, AS_IT_IS) is network
    x = torch.randn(1, 1, 6, 6)
    turns = [[], [2], [3], [2, 3]]
    expected = torch.stack([network(x.flip(turn)).flip(turn) for turn in turns]).mean(0)
    torch.testing.assert_close(mirrored(network, views_of((0, 1)))(x), expected)
    swapped = torch.stack([network(x), network(x.flip(2)).flip(2)[:, [1, 0]]]).mean(0)
    torch.testing.assert_close(mirrored(network, views_of((0,), outputs=(1, 0)))(x), swapped)
