"""Convolutions of small grids against double precision: shapes that oneDNN's own padding computes wrongly."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vesalius.nets.number_format import computing_in

CPU = torch.device("cpu")
FORMATS = {torch.float32: 1e-4, torch.bfloat16: 0.02}
LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}

# Channels in and out, kernel, stride, padding, sizes. Each gave wrong numbers or broke the process without care.
SMALL = [
    (32, 32, 3, 1, 1, (2, 4, 2)),
    (1, 16, 3, 1, 1, (2, 4, 8)),
    (16, 16, 3, 2, 1, (5, 1, 1)),
    (16, 16, 3, 2, 1, (4, 4, 1)),
    (24, 40, 5, 1, 2, (4, 5, 5)),
    (16, 16, 7, 1, 3, (4, 1, 2)),
    (16, 16, 7, 2, 3, (6, 4, 5)),
    (16, 16, 4, 2, 1, (8, 2, 2)),
    (16, 16, 3, 2, 1, (5, 1)),
    (1, 8, 3, 1, 1, (1, 2, 3)),
    (8, 16, 3, (1, 2, 2), (0, 1, 1), (5, 2, 6)),
]
SMALL_TRANSPOSED = [
    (1, 8, 3, 2, 1, (3, 1, 1)),
    (16, 16, 4, 2, 2, (2, 9, 5)),
    (3, 3, 4, 2, 3, (3, 4, 3)),
]


def results(call: Callable[[Tensor], Tensor], weight: Tensor, image: Tensor) -> list[Tensor]:
    """What a convolution gives, and the gradients of its weights and its image."""
    weight.grad = None
    image = image.detach().requires_grad_()
    out = call(image)
    out.backward(torch.linspace(-1, 1, out.numel()).view_as(out).to(out.dtype))
    assert weight.grad is not None
    assert image.grad is not None
    return [out.detach().double(), weight.grad.double(), image.grad.double()]


def assert_agrees(layer: nn.Module, image: Tensor, number_format: torch.dtype) -> None:
    """Agrees with double precision; one number a tensor, so that bfloat16's rounding has room."""
    layout = LAYOUTS[image.ndim - 2]
    layer = layer.double()
    expected = results(layer, layer.weight, image.double())  # type: ignore[arg-type]
    layer = layer.float().to(memory_format=layout)  # type: ignore[call-overload]
    image = image.float().contiguous(memory_format=layout)

    def guarded(image: Tensor) -> Tensor:
        with computing_in(number_format, CPU):
            y: Tensor = layer(image)
        assert y.dtype == number_format
        return y

    for got, wanted in zip(results(guarded, layer.weight, image), expected, strict=True):  # type: ignore[arg-type]
        assert got.shape == wanted.shape
        assert torch.linalg.vector_norm(got - wanted) <= FORMATS[number_format] * torch.linalg.vector_norm(wanted)


@pytest.mark.parametrize("number_format", FORMATS)
@pytest.mark.parametrize("case", SMALL)
def test_small_grids_agree_with_double_precision(case, number_format) -> None:  # type: ignore[no-untyped-def]
    inputs, outputs, kernel, stride, padding, size = case
    torch.manual_seed(0)
    layer = CONVOLUTIONS[len(size)](inputs, outputs, kernel, stride=stride, padding=padding)
    assert_agrees(layer, torch.randn(2, inputs, *size), number_format)


@pytest.mark.parametrize("number_format", FORMATS)
@pytest.mark.parametrize("groups", [1, 0])
@pytest.mark.parametrize("case", SMALL_TRANSPOSED)
def test_small_transposed_grids_agree_with_double_precision(case, groups, number_format) -> None:  # type: ignore[no-untyped-def]
    inputs, outputs, kernel, stride, padding, size = case
    torch.manual_seed(0)
    groups = groups or inputs
    layer = TRANSPOSED[len(size)](inputs, outputs, kernel, stride=stride, padding=padding, groups=groups)
    assert_agrees(layer, torch.randn(2, inputs, *size), number_format)


@pytest.mark.parametrize(
    "how",
    [
        {"padding": 1},
        {"padding": (2,), "dilation": 2},
        {"padding": 1, "stride": 2},
        {"padding": (1, 2), "stride": (2, 1)},
        {"padding": "same"},
        {"padding": "same", "dilation": 2},
        {"padding": "valid", "stride": 2},
    ],
)
def test_every_way_to_ask_for_a_convolution_gives_the_same(how: dict[str, Any]) -> None:
    torch.manual_seed(0)
    size = (7, 7) if how["padding"] == "valid" else (2, 3)
    image, weight, bias = torch.randn(2, 4, *size), torch.randn(6, 2, 3, 3), torch.randn(6)
    expected = F.conv2d(image, weight, bias, groups=2, **how)
    with computing_in(torch.float32, CPU):
        torch.testing.assert_close(F.conv2d(image, weight, bias, groups=2, **how), expected, atol=1e-5, rtol=1e-5)
        named = F.conv2d(image, weight=weight, bias=bias, groups=2, **how)
        torch.testing.assert_close(named, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("padding", "more"), [(1, 0), (1, 1), (0, 1), ((1, 2), (1, 0))])
def test_a_transposed_convolution_keeps_its_size(padding, more) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    image, weight = torch.randn(1, 3, 2, 3), torch.randn(3, 2, 5, 5)
    how = {"stride": 2, "padding": padding, "output_padding": more}
    expected = F.conv_transpose2d(image, weight, **how)
    with computing_in(torch.float32, CPU):
        torch.testing.assert_close(F.conv_transpose2d(image, weight, **how), expected, atol=1e-5, rtol=1e-5)


def test_only_small_grids_are_padded_before(monkeypatch: pytest.MonkeyPatch) -> None:
    padded = []
    pad = F.pad
    monkeypatch.setattr(F, "pad", lambda x, pads: padded.append(tuple(x.shape[2:])) or pad(x, pads))
    conv = nn.Conv3d(1, 1, 3, padding=1)
    with computing_in(torch.float32, CPU):
        for size in ((3, 3, 3), (8, 8, 8), (2, 8, 8), (8, 8, 1)):
            conv(torch.zeros(1, 1, *size))
    assert padded == [(2, 8, 8), (8, 8, 1)]


def test_bad_arguments_are_still_torchs_to_refuse() -> None:
    with computing_in(torch.float32, CPU), pytest.raises(RuntimeError, match="Kernel size"):
        F.conv2d(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 5, 5))
    with computing_in(torch.float32, CPU), pytest.raises(RuntimeError, match="channels"):
        F.conv2d(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 3, 3), padding=1)
