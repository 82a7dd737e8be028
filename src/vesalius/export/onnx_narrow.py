"""An ONNX file in half precision, or in whole numbers of 8 bits."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.export.describe import INPUT

if TYPE_CHECKING:
    from torch import Tensor


def to_fp16(path: Path) -> None:
    """Bring weights and operators of an ONNX file to half precision; input and output stay float32.

    Args:
        path: The file; replaced.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        onnx.save(convert_float_to_float16(onnx.load(str(path)), keep_io_types=True), str(path))


def to_int8(path: Path, calibration: Sequence[Tensor]) -> None:
    """Quantise the convolutions of an ONNX file: weights by channel, activations by what they are on real windows.

    Args:
        path: The file; replaced.
        calibration: Windows ``(1, c, *patch)`` of real cases.

    Source: ONNX Runtime's ``quantize_static`` in its advised form (QDQ, signed weights and activations).
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Windows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            window = next(self.left, None)
            return None if window is None else {INPUT: window.numpy()}

    with _quiet(), tempfile.TemporaryDirectory(prefix="vesalius-") as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            Windows(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": False},
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # the quantiser speaks through the root logger
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.root.setLevel(level)
