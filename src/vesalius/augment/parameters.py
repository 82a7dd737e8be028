"""The random numbers of one augmented batch: drawn all at once, and used without chance afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Parameters:
    """What is done to each element of a batch; a value that changes nothing stands for "not fired".

    Tensors on the CPU, the first axis the batch, ``n`` the axes of a patch, ``c`` the channels. The order of the
    fields is the order of application, except that what moves voxels (the first four) is done in one step.

    Args:
        rotation: Angles in radians: about each of three axes in 3D, one angle in 2D. 0 changes nothing.
        scale: Size of the field that fills the patch, relative to the patch, for each axis. 1 changes nothing.
        elastic: Displacement along each axis at each control point, in distances between control points. 0 changes
            nothing.
        mirror: Whether each axis is reversed.
        kind_mean: Mean of each kind of which images are painted; of no kinds where images were acquired.
        kind_std: Standard deviation of each kind.
        kind_kept: Whether each kind is not stripped away.
        paint_seed: Where the drawing of voxels starts.
        bias_field: Coefficients of the polynomial, an axis of them for each axis of the patch. 0 changes nothing.
        motion_rotation: Angles of each of ``m`` poses, as ``rotation``.
        motion_shift: Shift of each pose, voxels. Poses that are all 0 change nothing.
        motion_time: When each pose is taken up, as a share of the acquisition, rising.
        motion_axis: Along which lines of k-space are acquired one after the other.
        ghosting: How much of every n-th line of k-space is lost. 0 changes nothing.
        ghosting_count: That n.
        ghosting_axis: Along which the lines are counted.
        spike: Amplitude of the stripes, in standard deviations. 0 changes nothing.
        spike_wave: Their wave vector, cycles per voxel.
        spike_phase: Their phase, radians.
        ct_noise_std: Standard deviation of the quantum noise. 0 changes nothing.
        ct_noise_attenuation: How the logarithm of its variance depends on the tissue around.
        ct_noise_cutoff: Of the reconstruction filter, cycles per voxel.
        ct_noise_seed: Where the noise starts.
        noise_std: Standard deviation of the noise. 0 changes nothing.
        noise_seed: Where the noise starts: the field itself is as large as the image and is drawn when applied.
        blur_sigma: Standard deviation of the blur, voxels. 0 changes nothing.
        brightness: Factor. 1 changes nothing.
        contrast: Factor about the mean. 1 changes nothing.
        thick_slices: Thickness of slices across each axis, voxels. 1 changes nothing.
        low_resolution: Resolution, relative. 1 changes nothing.
        inverted_gamma: Exponent on the inverted intensities. 1 changes nothing.
        gamma: Exponent. 1 changes nothing.
        colour: What each channel becomes as a sum of all channels. The unit matrix changes nothing.
        zero_outside: Whether what was exactly 0 before is so again.
        mix_partner: The element that gives a box; the element's own number for none.
        mix_box: First and last place of the box along each axis, as shares of the patch. An empty box changes nothing.
        channel_kept: Whether each channel stays; the others become 0.
    """

    rotation: Float[Tensor, "b turns"]
    scale: Float[Tensor, "b n"]
    elastic: Float[Tensor, "b n *control"]
    mirror: Bool[Tensor, "b n"]
    kind_mean: Float[Tensor, "b c k"]
    kind_std: Float[Tensor, "b c k"]
    kind_kept: Bool[Tensor, "b k"]
    paint_seed: Int64[Tensor, " b"]
    bias_field: Float[Tensor, "b c *order"]
    motion_rotation: Float[Tensor, "b c m turns"]
    motion_shift: Float[Tensor, "b c m n"]
    motion_time: Float[Tensor, "b c m"]
    motion_axis: Int64[Tensor, "b c"]
    ghosting: Float[Tensor, "b c"]
    ghosting_count: Int64[Tensor, "b c"]
    ghosting_axis: Int64[Tensor, "b c"]
    spike: Float[Tensor, "b c"]
    spike_wave: Float[Tensor, "b c n"]
    spike_phase: Float[Tensor, "b c"]
    ct_noise_std: Float[Tensor, " b"]
    ct_noise_attenuation: Float[Tensor, " b"]
    ct_noise_cutoff: Float[Tensor, " b"]
    ct_noise_seed: Int64[Tensor, " b"]
    noise_std: Float[Tensor, " b"]
    noise_seed: Int64[Tensor, " b"]
    blur_sigma: Float[Tensor, "b c n"]
    brightness: Float[Tensor, "b c"]
    contrast: Float[Tensor, "b c"]
    thick_slices: Float[Tensor, "b c n"]
    low_resolution: Float[Tensor, "b c n"]
    inverted_gamma: Float[Tensor, "b c"]
    gamma: Float[Tensor, "b c"]
    colour: Float[Tensor, "b c c"]
    zero_outside: Bool[Tensor, " b"]
    mix_partner: Int64[Tensor, " b"]
    mix_box: Float[Tensor, "b n 2"]
    channel_kept: Bool[Tensor, "b c"]

    @classmethod
    def identity(cls, batch_size: int, *, ndim: int, channels: int) -> Parameters:
        """Parameters that only take the centre crop: the start for writing one transform by hand.

        Args:
            batch_size: Elements of the batch.
            ndim: 2 or 3 axes.
            channels: Channels of the images.

        Example:
            >>> import dataclasses
            >>> still = Parameters.identity(1, ndim=3, channels=1)
            >>> flipped = dataclasses.replace(still, mirror=torch.tensor([[True, False, False]]))
            >>> flipped.ndim
            3
        """
        b, c, n = batch_size, channels, ndim
        turns = 3 if ndim == 3 else 1
        none = torch.zeros(b, c, dtype=torch.int64)
        return cls(
            rotation=torch.zeros(b, turns),
            scale=torch.ones(b, n),
            elastic=torch.zeros(b, n, *[4] * n),  # the fewest control points that a cubic spline has
            mirror=torch.zeros(b, n, dtype=torch.bool),
            kind_mean=torch.zeros(b, c, 0),
            kind_std=torch.zeros(b, c, 0),
            kind_kept=torch.ones(b, 0, dtype=torch.bool),
            paint_seed=torch.zeros(b, dtype=torch.int64),
            bias_field=torch.zeros(b, c, *[2] * n),
            motion_rotation=torch.zeros(b, c, 1, turns),
            motion_shift=torch.zeros(b, c, 1, n),
            motion_time=torch.zeros(b, c, 1),
            motion_axis=none,
            ghosting=torch.zeros(b, c),
            ghosting_count=none + 2,
            ghosting_axis=none,
            spike=torch.zeros(b, c),
            spike_wave=torch.zeros(b, c, n),
            spike_phase=torch.zeros(b, c),
            ct_noise_std=torch.zeros(b),
            ct_noise_attenuation=torch.zeros(b),
            ct_noise_cutoff=torch.full((b,), 0.5),
            ct_noise_seed=torch.zeros(b, dtype=torch.int64),
            noise_std=torch.zeros(b),
            noise_seed=torch.zeros(b, dtype=torch.int64),
            blur_sigma=torch.zeros(b, c, n),
            brightness=torch.ones(b, c),
            contrast=torch.ones(b, c),
            thick_slices=torch.ones(b, c, n),
            low_resolution=torch.ones(b, c, n),
            inverted_gamma=torch.ones(b, c),
            gamma=torch.ones(b, c),
            colour=torch.eye(c).repeat(b, 1, 1),
            zero_outside=torch.zeros(b, dtype=torch.bool),
            mix_partner=torch.arange(b),
            mix_box=torch.zeros(b, n, 2),
            channel_kept=torch.ones(b, c, dtype=torch.bool),
        )

    @property
    def batch_size(self) -> int:
        """Elements of the batch."""
        return self.scale.shape[0]

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.gamma.shape[1]

    @property
    def kinds(self) -> int:
        """How many kinds images are painted from; 0 where they were acquired."""
        return self.kind_mean.shape[2]

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return self.scale.shape[1]

    def partners(self, elements: Sequence[int]) -> list[int]:
        """The further elements of the batch that these take a box from.

        All transforms but mixing look at one element alone. To work on a part of a batch and get what the whole batch
        would give, work on ``[*elements, *partners(elements)]`` and keep the first ``len(elements)`` results.

        Args:
            elements: Indices into the batch.

        Returns:
            Indices that are not among them, each once, rising. Empty where nothing is mixed.

        Example:
            >>> import dataclasses
            >>> still = Parameters.identity(4, ndim=2, channels=1)
            >>> dataclasses.replace(still, mix_partner=torch.tensor([3, 1, 2, 0])).partners([0, 1])
            [3]
        """
        wanted = self.mix_partner[torch.as_tensor(elements, dtype=torch.int64)]
        return sorted(set(wanted.tolist()) - set(elements))

    def select(self, elements: Sequence[int]) -> Parameters:
        """The parameters of some elements of the batch, in the order named.

        An element whose partner is not among them is left unmixed: name its `partners`, too, where that matters.

        Args:
            elements: Indices into the batch, each once.
        """
        index = torch.as_tensor(elements, dtype=torch.int64)
        chosen = {f.name: getattr(self, f.name)[index] for f in fields(self)}
        place = torch.full((self.batch_size,), -1).index_put((index,), torch.arange(len(index)))
        partner = place[chosen["mix_partner"]]
        chosen["mix_partner"] = torch.where(partner < 0, torch.arange(len(index)), partner)
        chosen["mix_box"] = torch.where((partner < 0).view(-1, 1, 1), 0.0, chosen["mix_box"])
        return Parameters(**chosen)
