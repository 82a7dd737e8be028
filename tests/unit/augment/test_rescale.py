"""A batch at another size."""

import pytest
import torch

from vesalius.augment import rescale_batch
from vesalius.errors import PlanError


@pytest.mark.parametrize(
    ("factor", "multiple", "size"),
    [(0.5, (8, 4), (16, 24)), (1.3, (8, 16), (40, 64)), (0.01, (8, 4), (8, 4)), (2.0, (1, 1), (64, 96))],
)
def test_the_size_is_the_nearest_that_the_network_takes(factor, multiple, size):
    images, classes = torch.zeros(2, 3, 32, 48), torch.zeros(2, 32, 48, dtype=torch.int16)
    found, found_classes = rescale_batch(images, classes, factor=factor, multiple=multiple)
    assert tuple(found.shape) == (2, 3, *size)
    assert tuple(found_classes.shape) == (2, *size)
    assert found_classes.dtype == torch.int16


def test_nothing_to_do_is_nothing_done():
    images, classes = torch.rand(1, 1, 16, 16, 16), torch.zeros(1, 16, 16, 16, dtype=torch.int16)
    found, found_classes = rescale_batch(images, classes, factor=1.1, multiple=(8, 8, 8))
    assert found is images
    assert found_classes is classes


@pytest.mark.parametrize("factor", [0.5, 1.5, 2.0])
def test_images_and_classes_stay_aligned(factor):
    i = torch.arange(40.0)
    images = i.view(1, 1, 40, 1, 1).expand(1, 1, 40, 8, 8).contiguous()
    classes = (images[:, 0] > 19.5).to(torch.int16) - (images[:, 0] < 6).to(torch.int16)
    found, found_classes = rescale_batch(images, classes, factor=factor, multiple=(4, 4, 4))
    n = found.shape[2]
    middle = ((torch.arange(n) + 0.5) * 40 / n - 0.5).clamp(0, 39)
    torch.testing.assert_close(found[0, 0, :, 0, 0], middle, rtol=0, atol=1e-4)
    inside = (middle - 19.5).abs() > 1
    assert torch.equal(found_classes[0, :, 0, 0][inside] == 1, (middle > 19.5)[inside])
    assert set(found_classes.unique().tolist()) == {-1, 0, 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factor": 0.0}, "factor must be positive"),
        ({"factor": float("nan")}, "factor must be positive"),
        ({"multiple": (8,)}, "2 whole numbers"),
        ({"multiple": (8, 0)}, "2 whole numbers"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    images, classes = torch.zeros(1, 1, 8, 8), torch.zeros(1, 8, 8, dtype=torch.int16)
    with pytest.raises(PlanError, match=message):
        rescale_batch(images, classes, **({"factor": 1.0, "multiple": (4, 4)} | change))
