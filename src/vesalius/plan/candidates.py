"""The sizes in which each network comes, from the largest to the smallest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from vesalius.errors import PlanError, unknown_name
from vesalius.nets import CNNSpec, FCNSpec, NetworkSpec, UNetSpec
from vesalius.plan import rules
from vesalius.plan.fingerprint import Fingerprint

Network = Literal["unet", "fcn", "cnn"]

# Base features and whether the finest stage is left out, ordered by the time of a step. Convolutions of 24 features
# take as long as those of 32: the processor works in blocks of 16.
_UNETS = ((32, False), (16, False), (48, True), (32, True), (16, True))
_FCN_WIDTHS = {2: (1.0, 0.5, 0.25), 3: (0.5, 0.25, 0.125)}
_CNN_FEATURES = ((32, 64, 64), (16, 32, 32), (8, 16, 16))


def network_sizes(
    network: Network, facts: Fingerprint, patch_size: Sequence[int], spacing_mm: Sequence[float]
) -> list[tuple[str, NetworkSpec]]:
    """The specs of a network that suit the data, with a few words about each, largest first.

    Args:
        network: ``"unet"``, ``"fcn"`` or ``"cnn"``.
        facts: About the data.
        patch_size: Voxels that the network will see.
        spacing_mm: Of each axis.

    Raises:
        PlanError: The network is unknown.
    """
    match network:
        case "unet":
            return [_unet(facts, patch_size, spacing_mm, base, stem) for base, stem in _UNETS]
        case "fcn":
            return [_fcn(facts, width) for width in _FCN_WIDTHS[facts.ndim]]
        case "cnn":
            return [_cnn(facts, spacing_mm, features) for features in _CNN_FEATURES]
    raise PlanError(unknown_name("network", str(network), get_args(Network)))


def _unet(
    facts: Fingerprint, patch_size: Sequence[int], spacing_mm: Sequence[float], base: int, strided_stem: bool
) -> tuple[str, NetworkSpec]:
    kernels, strides = rules.topology(patch_size, spacing_mm, strided_stem=strided_stem)
    stages = len(strides)
    spec = UNetSpec(
        ndim=3 if facts.ndim == 3 else 2,
        in_channels=len(facts.channels),
        out_channels=len(facts.labels) + 1,
        features=rules.features(base, stages, facts.ndim),
        strides=strides,
        kernels=kernels,
        encoder_blocks=(2,) * stages,
        decoder_blocks=(1,) * (stages - 1),
        deep_supervision=stages > 2,
    )
    return f"U-Net, {base} features at {'half' if strided_stem else 'full'} resolution", spec


def _fcn(facts: Fingerprint, width: float) -> tuple[str, NetworkSpec]:
    spec = FCNSpec(
        ndim=3 if facts.ndim == 3 else 2,
        in_channels=len(facts.channels),
        out_channels=len(facts.labels) + 1,
        encoder="resnet18",
        width=width,
        dropout=0.1,
    )
    return f"FCN-8s, ResNet-18 at {width:g} of its width", spec


def _cnn(facts: Fingerprint, spacing_mm: Sequence[float], features: tuple[int, ...]) -> tuple[str, NetworkSpec]:
    """A patch of 28 voxels (7 along a coarse axis, where nothing is pooled) shrinks to a window of 3."""
    coarse = rules.coarse_axis(spacing_mm)

    def each(fine: int, thick: int) -> tuple[int, ...]:
        return tuple(thick if axis == coarse else fine for axis in range(facts.ndim))

    spec = CNNSpec(
        ndim=3 if facts.ndim == 3 else 2,
        in_channels=len(facts.channels),
        out_channels=len(facts.labels) + 1,
        patch=each(28, 7),
        features=features,
        kernels=(each(5, 1), each(3, 3), each(3, 3)),
        pools=(each(2, 1), each(2, 1), each(1, 1)),
        hidden=(2 * features[-1],),
        dropout=0.1,
    )
    return f"patch classifier, {'-'.join(map(str, features))} features", spec
