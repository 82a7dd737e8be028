"""Networks that MONAI builds: SegResNet, SwinUNETR, UNETR, MedNeXt, its U-Net. MONAI is imported when one is built."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.errors import MissingDependencyError, PlanError
from vesalius.nets.blocks import GROUPS, check_size
from vesalius.nets.specs.frame import Norm
from vesalius.nets.specs.mednext import MEDNEXT_BLOCKS, MEDNEXT_WIDENING, MedNeXtSpec
from vesalius.nets.specs.monai_unet import MonaiUNetSpec
from vesalius.nets.specs.segresnet import SegResNetSpec
from vesalius.nets.specs.swin_unetr import SwinUNETRSpec
from vesalius.nets.specs.unetr import TOKEN, UNETRSpec

MonaiSpec = SegResNetSpec | SwinUNETRSpec | UNETRSpec | MedNeXtSpec | MonaiUNetSpec


class FromMonai(nn.Module):
    """One of MONAI's networks behind the same face as all others.

    Args:
        spec: What to build.

    Raises:
        MissingDependencyError: MONAI or einops is not installed.

    Example:
        >>> net = FromMonai(SegResNetSpec(ndim=2, in_channels=1, out_channels=2, features=8))
        >>> net(torch.zeros(1, 1, 16, 24)).shape
        torch.Size([1, 2, 16, 24])

    Source: MONAI 1.6.1, held to its own modules with the same weights.
    """

    def __init__(self, spec: MonaiSpec) -> None:
        super().__init__()
        self.spec = spec
        self.divisor = spec.divisor
        try:
            self.net = _made(spec)
        except ImportError as error:
            raise MissingDependencyError(
                f"the network {spec.architecture!r} is MONAI's: pip install 'vesalius[monai]'"
            ) from error

    def forward(
        self, x: Float[Tensor, "b c *grid"]
    ) -> Float[Tensor, "b classes *grid"] | list[Float[Tensor, "b classes *_"]]:
        """Logits of an image; while training with deep supervision, a list of them, finest first.

        Args:
            x: Normalised image, each axis a multiple of `divisor`; for UNETR, of its own size.

        Raises:
            PlanError: The size does not fit.
        """
        check_size(x, self.divisor)
        _check_coarsest(self.spec, tuple(x.shape[2:]))
        logits = self.net(x)
        return list(logits) if isinstance(logits, list | tuple) else logits


def _check_coarsest(spec: MonaiSpec, size: tuple[int, ...]) -> None:
    if isinstance(spec, UNETRSpec) and size != spec.image_size:
        raise PlanError(f"this UNETR takes images of {spec.image_size} and no others, not {size}: use windows")
    step = (TOKEN,) * spec.ndim if isinstance(spec, UNETRSpec) else spec.divisor
    if math.prod(size) == math.prod(step):
        raise PlanError(f"an image of {size} shrinks to a single voxel, which has no variance: take a larger patch")


def _made(spec: MonaiSpec) -> nn.Module:
    match spec:
        case SegResNetSpec():
            return _segresnet(spec)
        case SwinUNETRSpec():
            return _swin_unetr(spec)
        case UNETRSpec():
            return _unetr(spec)
        case MedNeXtSpec():
            return _mednext(spec)
        case MonaiUNetSpec():
            return _unet(spec)


def _segresnet(spec: SegResNetSpec) -> nn.Module:
    from monai.networks.nets.segresnet import SegResNet
    from monai.networks.nets.segresnet_ds import SegResNetDS

    if spec.deep_supervision:
        return SegResNetDS(
            spatial_dims=spec.ndim,
            init_filters=spec.features,
            in_channels=spec.in_channels,
            out_channels=spec.out_channels,
            norm=_norm(spec.norm, learned=True),
            blocks_down=spec.encoder_blocks,
            blocks_up=spec.decoder_blocks,
            dsdepth=len(spec.decoder_blocks),
            resolution=spec.spacing_mm or None,
        )
    return SegResNet(
        spatial_dims=spec.ndim,
        init_filters=spec.features,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        dropout_prob=spec.dropout or None,
        norm=_norm(spec.norm, learned=True),
        blocks_down=spec.encoder_blocks,
        blocks_up=spec.decoder_blocks,
    )


def _swin_unetr(spec: SwinUNETRSpec) -> nn.Module:
    from monai.networks.nets.swin_unetr import SwinUNETR

    # While it is built, numbers are read off a tensor, and the meta device has none. Nothing may be drawn for that one.
    place = torch.get_default_device()
    with torch.random.fork_rng(devices=(), enabled=place.type == "meta"), torch.device("cpu"):
        net = SwinUNETR(
            spatial_dims=spec.ndim,
            in_channels=spec.in_channels,
            out_channels=spec.out_channels,
            feature_size=spec.features,
            depths=spec.depths,
            num_heads=spec.heads,
            window_size=spec.window,
            norm_name=_norm(spec.norm),
            drop_rate=spec.dropout,
            attn_drop_rate=spec.dropout,
            use_v2=spec.convolutions,
        )
    return net.to(place)


def _unetr(spec: UNETRSpec) -> nn.Module:
    from monai.networks.nets.unetr import UNETR

    net = UNETR(
        spatial_dims=spec.ndim,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        img_size=spec.image_size,
        feature_size=spec.features,
        hidden_size=spec.hidden,
        mlp_dim=spec.mlp,
        num_heads=spec.heads,
        norm_name=_norm(spec.norm),
        dropout_rate=spec.dropout,
    )
    for block in net.vit.blocks:
        # A norm for an attention that is not there: weights that no gradient reaches stop distributed training.
        block.norm_cross_attn = nn.Identity()
    return net


def _mednext(spec: MedNeXtSpec) -> nn.Module:
    from monai.networks.nets.mednext import MedNeXt

    blocks, widening = MEDNEXT_BLOCKS[spec.size], MEDNEXT_WIDENING[spec.size]
    return MedNeXt(
        spatial_dims=spec.ndim,
        init_filters=spec.features,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        encoder_expansion_ratio=widening[:4],
        decoder_expansion_ratio=widening[5:],
        bottleneck_expansion_ratio=widening[4],
        kernel_size=spec.kernel,
        deep_supervision=spec.deep_supervision,
        use_residual_connection=True,
        blocks_down=blocks[:4],
        blocks_bottleneck=blocks[4],
        blocks_up=blocks[5:],
    )


def _unet(spec: MonaiUNetSpec) -> nn.Module:
    from monai.networks.nets.unet import UNet

    acts: dict[str, tuple[str, dict[str, object]]] = {
        "prelu": ("prelu", {}),
        "relu": ("relu", {}),
        "leaky_relu": ("leakyrelu", {"negative_slope": 0.01}),
    }
    return UNet(
        spatial_dims=spec.ndim,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        channels=spec.features,
        strides=spec.strides,  # type: ignore[arg-type]  # on each axis, as its layers take them
        kernel_size=spec.kernel,
        up_kernel_size=spec.up_kernel,
        num_res_units=spec.residual_units,
        act=acts[spec.activation],
        norm=_norm(spec.norm),
        dropout=spec.dropout,
        bias=spec.bias,
    )


def _norm(name: Norm, *, learned: bool = False) -> tuple[str, dict[str, object]]:
    """As MONAI names it, with its 8 groups; its instance norm learns a scale and a shift only when told to."""
    kinds: dict[Norm, tuple[str, dict[str, object]]] = {
        "instance": ("instance", {"affine": learned}),
        "batch": ("batch", {}),
        "group": ("group", {"num_groups": GROUPS}),
    }
    return kinds[name]
