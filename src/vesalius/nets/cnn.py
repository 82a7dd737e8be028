"""The classifier of a patch, and the same weights run over a whole volume."""

from __future__ import annotations

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.errors import PlanError
from vesalius.nets.blocks import check_size, convolution, scores
from vesalius.nets.spec import CNNSpec, Sizes, divisor


class CNN(nn.Module):
    """Convolution, pooling, fully connected layers: what is at the centre of this patch?

    `classify` asks it of one patch. Calling the network asks it of every voxel of a volume at once and gives the same
    answers: a fully connected layer is a convolution with a window as large as its input, and pooling keeps every
    offset instead of one in ``pool`` when it steps by 1, provided that all that follows reads its input in steps of
    ``pool`` (dilation). So each layer works dilated by the product of the poolings before it.

    Outside the volume are zeros. The patch of voxel v covers ``v - patch // 2`` to ``v - patch // 2 + patch - 1`` on
    each axis: an even window has one voxel more before its centre than after it (as in `scipy.ndimage`).

    Args:
        spec: What to build.

    Example:
        >>> import torch
        >>> net = CNN(CNNSpec(ndim=2, in_channels=1, out_channels=2, patch=(10, 10), features=(4, 8), hidden=(16,),
        ...                   kernels=((3, 3), (3, 3)), pools=((2, 2), (2, 2)))).eval()
        >>> volume = torch.randn(1, 1, 20, 30)
        >>> patch = volume[:, :, 7 - 5 : 7 + 5, 11 - 5 : 11 + 5]
        >>> torch.allclose(net(volume)[:, :, 7, 11], net.classify(patch), atol=1e-5)
        True

    Source: LeCun et al. 1998, doi:10.1109/5.726791; Sermanet et al. 2014, arXiv:1312.6229, section 3.5 (fully connected
    layers as convolutions); Giusti et al. 2013, arXiv:1302.1700 (every offset of the pooling); Yu and Koltun 2016,
    arXiv:1511.07122, and Long et al. 2015, section 3.2 (by dilation).
    """

    def __init__(self, spec: CNNSpec) -> None:
        super().__init__()
        self.spec = spec
        self.divisor = divisor(spec)
        norm: type[nn.Module] = nn.Identity
        if spec.norm == "batch":
            norm = nn.BatchNorm2d if spec.ndim == 2 else nn.BatchNorm3d
        inputs = (spec.in_channels, *spec.features)
        self.convs = nn.ModuleList(
            convolution(inputs[at], spec.features[at], kernel, padded=False, bias=spec.norm == "none", slope=0.0)
            for at, kernel in enumerate(spec.kernels)
        )
        self.norms = nn.ModuleList(norm(n) for n in spec.features)
        # The first fully connected layer sees all that is left of the patch; the others see one place.
        widths = (spec.features[-1], *spec.hidden)
        windows = (spec.shapes[-1],) + ((1,) * spec.ndim,) * len(spec.hidden)
        self.full = nn.ModuleList(
            convolution(widths[at], widths[at + 1], windows[at], padded=False, slope=0.0)
            for at in range(len(spec.hidden))
        )
        self.scores = scores(widths[-1], spec.out_channels, windows[-1])  # the whole window when nothing is hidden

    def classify(self, patch: Float[Tensor, "b c *patch"]) -> Float[Tensor, "b classes"]:
        """Logits of patches.

        Args:
            patch: Normalised patches of the size that the spec says.

        Raises:
            PlanError: The patches have another size.
        """
        if tuple(patch.shape[2:]) != self.spec.patch:
            raise PlanError(f"the network classifies patches of {self.spec.patch}, not {tuple(patch.shape[2:])}")
        return self._run(patch, dense=False).flatten(1)

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b classes *grid"]:
        """Logits of every voxel of an image of any size.

        Args:
            x: Normalised image.

        Raises:
            PlanError: The image has another number of axes.
        """
        check_size(x, self.divisor)
        margins = []
        for size in reversed(self.spec.patch):
            margins += [size // 2, size - 1 - size // 2]
        return self._run(F.pad(x, margins), dense=True)

    def _run(self, x: Tensor, *, dense: bool) -> Tensor:
        pool = F.max_pool2d if self.spec.ndim == 2 else F.max_pool3d
        apart = (1,) * self.spec.ndim
        for conv, norm, window in zip(self.convs, self.norms, self.spec.pools, strict=True):
            x = F.relu(norm(_convolve(x, conv, apart)))
            if math.prod(window) > 1:
                x = pool(x, window, stride=1 if dense else window, dilation=apart)
            if dense:
                apart = tuple(a * w for a, w in zip(apart, window, strict=True))
        for layer in self.full:
            x = F.dropout(F.relu(_convolve(x, layer, apart)), self.spec.dropout, self.training)
        return _convolve(x, self.scores, apart)


def _convolve(x: Tensor, layer: nn.Module, apart: Sizes) -> Tensor:
    """Apply a convolution with its taps ``apart`` voxels from each other."""
    assert isinstance(layer, nn.Conv2d | nn.Conv3d)
    convolve = F.conv2d if isinstance(layer, nn.Conv2d) else F.conv3d
    return convolve(x, layer.weight, layer.bias, dilation=apart)
