"""What a recurrent U-Net is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vesalius.errors import PlanError
from vesalius.nets.specs.frame import Sizes, check_whole
from vesalius.nets.specs.slices import across, check_plane
from vesalius.nets.specs.unet import UNetSpec


@dataclass(frozen=True, kw_only=True)
class RecurrentUNetSpec:
    """A 2D U-Net that goes through the slices of a 3D image and remembers them.

    Encoder and decoder work on each slice by itself. Between them, at the coarsest resolution, a convolutional LSTM
    goes through the slices in both directions, so that a slice is segmented knowing what lies before and behind it.
    It suits stacks of thick slices, where 3D convolutions would mix what lies far apart, and films, where the slices
    are frames (``axis=0`` for time).

    Args:
        inner: The 2D U-Net: its encoder, decoder, strides, attention, deep supervision.
        axis: Of the image, 0 to 2: slices lie across it.
        skips: Whether every skip connection passes such an LSTM, too, and not the coarsest stage alone.
        kernel: Odd size of the LSTM's convolutions.

    Raises:
        PlanError: A field is out of range, or a stage with an LSTM has an odd number of features.

    Example:
        >>> flat = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16))
        >>> RecurrentUNetSpec(inner=flat, axis=2).divisor
        (2, 2, 1)

    Source: Shi et al. 2015, arXiv:1506.04214 (ConvLSTM); Chen et al. 2016, arXiv:1609.01006 (a U-Net for the slices, a
    bidirectional ConvLSTM across them); Bai et al. 2018, arXiv:1808.00273 (the same for films of the heart).
    """

    architecture: Literal["recurrent_unet"] = "recurrent_unet"
    inner: UNetSpec
    axis: int
    skips: bool = False
    kernel: int = 3

    def __post_init__(self) -> None:
        check_plane(self.inner, self.axis, (UNetSpec,))
        check_whole("kernel", self.kernel)
        if self.kernel % 2 == 0:
            raise PlanError(f"kernel must be odd, not {self.kernel}")
        odd = [self.inner.features[stage] for stage in self.recurrent_stages if self.inner.features[stage] % 2]
        if odd:
            raise PlanError(f"each direction has half of a stage's features, so they must be even, not {odd[0]}")

    @property
    def recurrent_stages(self) -> Sizes:
        """The stages of the encoder whose features pass an LSTM: the coarsest, or all."""
        last = len(self.inner.features) - 1
        return tuple(range(last + 1)) if self.skips else (last,)

    @property
    def ndim(self) -> Literal[3]:
        """Axes of the image."""
        return 3

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        return self.inner.in_channels

    @property
    def out_channels(self) -> int:
        """Classes, background included."""
        return self.inner.out_channels

    @property
    def divisor(self) -> Sizes:
        """What each axis of an image must be a multiple of: as in the 2D U-Net, and any number of slices."""
        return across(self.inner.divisor, self.axis, 1)
