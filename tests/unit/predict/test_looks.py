"""Mirror images that go through the network together."""

import pytest
import torch

from vesalius.predict.views import views_of
from vesalius.predict.window import Walk, sliding_window


@pytest.mark.parametrize("looks", [2, 3, 8])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_mirror_images_seen_together_have_the_same_answers(looks, batch_size):
    image, seen = torch.rand((1, 12, 9, 13), generator=torch.Generator().manual_seed(0)), []
    image[..., :6] = 1.0  # some windows hold a single value
    kernel = torch.rand((3, 1, 3, 3, 3), generator=torch.Generator().manual_seed(1))

    def network(x):
        seen.append(len(x))
        return torch.nn.functional.conv3d(x, kernel, padding=1)

    def run(**how):
        return sliding_window(image, network, (6, 6, 6), 3, views=views_of((0, 1, 2)), walk=Walk(**how))

    apart = run(batch_size=batch_size)
    assert max(seen) == batch_size
    together = run(batch_size=batch_size, looks=looks)
    assert max(seen) == batch_size * looks
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-5)
