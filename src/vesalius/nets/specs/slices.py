"""What a 2D network run over the slices of 3D images is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vesalius.errors import PlanError
from vesalius.nets.specs.cnn import CNNSpec
from vesalius.nets.specs.encoder_unet import EncoderUNetSpec
from vesalius.nets.specs.fcn import FCNSpec
from vesalius.nets.specs.frame import Sizes, check_whole, is_whole
from vesalius.nets.specs.mednext import MedNeXtSpec
from vesalius.nets.specs.monai_unet import MonaiUNetSpec
from vesalius.nets.specs.segresnet import SegResNetSpec
from vesalius.nets.specs.swin_unetr import SwinUNETRSpec
from vesalius.nets.specs.unet import UNetSpec
from vesalius.nets.specs.unetr import UNETRSpec

PlainSpec = (
    UNetSpec
    | FCNSpec
    | CNNSpec
    | EncoderUNetSpec
    | SegResNetSpec
    | SwinUNETRSpec
    | UNETRSpec
    | MedNeXtSpec
    | MonaiUNetSpec
)  # fmt: skip
"""The networks that come in 2D and in 3D."""


@dataclass(frozen=True, kw_only=True)
class SlicesSpec:
    """A 2D network that is a 3D network: it goes through the slices one by one, with their neighbours as channels.

    With ``context`` 0 it is a 2D network; with more it is what is called 2.5D. Each slice across ``axis`` is segmented
    from itself and the ``context`` slices on either side of it; outside the image, the first and the last slice are
    repeated. The channels of the 2D network are, slice after slice from the lowest index to the highest, all channels
    of the image: with two channels and context 1 they are a0 b0 a1 b1 a2 b2 for the slice 1.

    Args:
        inner: The 2D network, with ``2 * context + 1`` times the image's channels.
        axis: Of the image, 0 to 2: slices lie across it.
        context: How many neighbours on either side are seen.

    Raises:
        PlanError: A field is out of range, or the number of channels is not a multiple.

    Example:
        >>> flat = UNetSpec.plain(ndim=2, in_channels=3, out_channels=2, features=(8, 16))
        >>> spec = SlicesSpec(inner=flat, axis=0, context=1)
        >>> spec.ndim, spec.in_channels, spec.divisor
        (3, 1, (1, 2, 2))

    Source: Han 2017, arXiv:1704.07239 (neighbouring slices as channels); Isensee et al. 2021,
    doi:10.1038/s41592-020-01008-z (the 2D U-Net beside the 3D one).
    """

    architecture: Literal["slices"] = "slices"
    inner: PlainSpec
    axis: int
    context: int = 0

    def __post_init__(self) -> None:
        check_plane(self.inner, self.axis, get_args(PlainSpec))
        check_whole("context", self.context, least=0)
        if self.inner.in_channels % self.slices:
            raise PlanError(
                f"with context {self.context} the inner network sees {self.slices} slices, so its in_channels must be "
                f"a multiple of {self.slices}, not {self.inner.in_channels}"
            )

    @property
    def slices(self) -> int:
        """How many slices are seen at once."""
        return 2 * self.context + 1

    @property
    def ndim(self) -> Literal[3]:
        """Axes of the image."""
        return 3

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        return self.inner.in_channels // self.slices

    @property
    def out_channels(self) -> int:
        """Classes, background included."""
        return self.inner.out_channels

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: as in the 2D network, and any number of slices."""
        return across(self.inner.divisor, self.axis, 1)


def check_plane(inner: object, axis: int, kinds: tuple[type, ...]) -> None:
    """A 2D network and an axis of 3D images."""
    if not isinstance(inner, kinds) or inner.ndim != 2:  # type: ignore[attr-defined]
        known = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise PlanError(f"inner must be the spec of a 2D network ({known}), not {inner!r}")
    if not is_whole(axis) or not 0 <= axis <= 2:
        raise PlanError(f"axis must be 0, 1 or 2, not {axis!r}")


def across(sizes: Sizes, axis: int, size: int) -> Sizes:
    """Sizes in a slice, with the one across the slices put in.

    Example:
        >>> across((4, 8), 0, 1)
        (1, 4, 8)
    """
    return (*sizes[:axis], size, *sizes[axis:])
