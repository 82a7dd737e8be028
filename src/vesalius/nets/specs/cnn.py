"""What a patch classifier is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vesalius.errors import PlanError
from vesalius.nets.specs.frame import Sizes, check_choice, check_dropout, check_frame, check_sizes, check_stages, freeze


@dataclass(frozen=True, kw_only=True)
class CNNSpec:
    """The classic classifier of a patch: convolution and max pooling in turn, then fully connected layers.

    Convolutions are not padded and windows do not overlap, so a patch must shrink to a whole number of windows at
    each pooling; what is left is what the first fully connected layer sees. The receptive field is the patch.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        patch: Size of the patch that is classified, voxels.
        features: Channels of each convolution.
        kernels: Of each convolution, one whole number an axis.
        pools: Window of the max pooling after each convolution, one whole number an axis; 1 for none.
        hidden: Units of each fully connected layer before the last.
        norm: Batch norm after each convolution, or none. Instance norm would make a voxel's class depend on the
            size of the volume around it.
        dropout: Chance of dropping a hidden unit while training, 0 to less than 1.

    Raises:
        PlanError: A field is out of range, or the patch does not shrink to whole windows.

    Example:
        >>> spec = CNNSpec(ndim=2, in_channels=1, out_channels=10, patch=(28, 28), features=(20, 50),
        ...                kernels=((5, 5), (5, 5)), pools=((2, 2), (2, 2)), hidden=(500,))
        >>> spec.shapes
        ((28, 28), (12, 12), (4, 4))

    Source: LeCun et al. 1998, doi:10.1109/5.726791; the example is their LeNet in the form that Caffe made common.
    """

    architecture: Literal["cnn"] = "cnn"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    patch: Sizes
    features: Sizes
    kernels: tuple[Sizes, ...]
    pools: tuple[Sizes, ...]
    hidden: Sizes
    norm: Literal["batch", "none"] = "batch"
    dropout: float = 0.5
    shapes: tuple[Sizes, ...] = field(init=False, repr=False, compare=False)
    """Size of the patch before and after each stage; the last is the window of the first fully connected layer."""

    def __post_init__(self) -> None:
        check_frame(self.ndim, self.in_channels, self.out_channels)
        freeze(self, "patch", "features", "kernels", "pools", "hidden")
        stages = len(self.features)
        if stages < 1:
            raise PlanError("a CNN needs at least 1 convolution, but features is empty")
        check_sizes("patch", self.patch, self.ndim)
        check_sizes("features", self.features, stages)
        check_sizes("hidden", self.hidden, len(self.hidden))
        check_stages("kernels", self.kernels, stages, self.ndim)
        check_stages("pools", self.pools, stages, self.ndim)
        check_choice("norm", self.norm, ("batch", "none"))
        check_dropout(self.dropout)
        shapes = [self.patch]
        for stage, (kernel, pool) in enumerate(zip(self.kernels, self.pools, strict=True)):
            after = tuple(n - k + 1 for n, k in zip(shapes[-1], kernel, strict=True))
            if any(n < p or n % p for n, p in zip(after, pool, strict=True)):
                raise PlanError(
                    f"patch {self.patch} does not fit: after the convolution of stage {stage} it measures {after}, "
                    f"which windows of {pool} cannot fill. Change the patch, kernels or pools"
                )
            shapes.append(tuple(n // p for n, p in zip(after, pool, strict=True)))
        object.__setattr__(self, "shapes", tuple(shapes))

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: ones, since every size will do."""
        return (1,) * self.ndim
