"""The curves of a training: loss and validation Dice over time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.report.canvas import figure, render, write_png

_LOSS, _DICE, _INK = "#8a4b2a", "#1f5f6b", "#2b2a28"


def curves(
    history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], *, smoothing: float = 0.8
) -> NDArray[np.uint8]:
    """Draw loss and validation Dice over training time, and write the picture as PNG.

    The loss is drawn faintly as it was and boldly as its exponential moving average; the Dice as it was measured,
    with the best one named. An empty history gives empty axes.

    Args:
        history: Rows with ``step``, ``time_s`` (seconds), ``loss``, ``learning_rate`` and ``validation_dice``;
            NaN where something was not measured.
        path: The PNG file to write.
        smoothing: Weight of the past in the moving average, 0 (none) to below 1.

    Returns:
        The picture, ``(rows, columns, 3)``, uint8.

    Raises:
        DataError: ``smoothing`` is out of range, or a row lacks a column.
        VesaliusError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> row = {"step": 10, "time_s": 5.0, "loss": 0.7, "learning_rate": 1.0, "validation_dice": 0.5}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     curves([row], folder + "/curves.png").shape
        (520, 860, 3)

    Source: the bias-corrected average of Kingma and Ba, arXiv:1412.6980, as TensorBoard smooths its curves.
    """
    if not 0 <= smoothing < 1:
        raise DataError(f"smoothing must be 0 or more and below 1, not {smoothing}")
    columns = ("step", "time_s", "loss", "learning_rate", "validation_dice")
    for row in history:
        missing = [name for name in columns if name not in row]
        if missing:
            raise DataError(f"a row of the history lacks {', '.join(missing)}")
    table = {name: np.array([float(row[name]) for row in history]) for name in columns}
    unit, scale = ("min", 60.0) if len(history) and table["time_s"][-1] >= 120 else ("s", 1.0)
    time = table["time_s"] / scale

    made = figure(860, 520, "white")
    upper, lower = made.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.12, "top": 0.93, "bottom": 0.1})
    known = np.isfinite(table["loss"])
    upper.plot(time[known], table["loss"][known], color=_LOSS, alpha=0.3, linewidth=1)
    upper.plot(time[known], _smoothed(table["loss"][known], smoothing), color=_LOSS, linewidth=2)
    upper.set_ylabel("loss")
    measured = np.isfinite(table["validation_dice"])
    dice = table["validation_dice"][measured]
    lower.plot(time[measured], dice, color=_DICE, linewidth=1.6, marker="o", markersize=3.5)
    lower.set_ylabel("validation Dice")
    lower.set_xlabel(f"training time, {unit}")
    if dice.size:
        best = int(dice.argmax())
        lower.axhline(dice[best], color=_DICE, linewidth=0.8, linestyle=(0, (4, 4)), alpha=0.6)
        step = int(table["step"][measured][best])
        upper.set_title(f"best validation Dice {dice[best]:.3f} at step {step:,}", fontsize=10, loc="right", color=_INK)
    for axes in (upper, lower):
        axes.grid(color="#e4e0d8", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=_INK, labelsize=9)
    picture = render(made)
    write_png(picture, path)
    return picture


def _smoothed(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Exponential moving average without the pull of its zero start."""
    smooth = np.empty_like(values)
    past, mass = 0.0, 0.0
    for i, value in enumerate(values):
        past, mass = weight * past + (1 - weight) * float(value), weight * mass + (1 - weight)
        smooth[i] = past / mass
    return smooth
