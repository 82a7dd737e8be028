"""Every architecture goes the whole way: plan, fit, segment."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from phantoms import ball_case, ball_dataset

from vesalius.bundle import Bundle
from vesalius.plan import Budget, fingerprint, make_plan
from vesalius.predict import segment
from vesalius.train import fit

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"features": (8, 16, 16)},
    "fcn": {"width": 0.125},
    "cnn": {"features": (2, 4, 4), "hidden": (4,)},
}


@pytest.mark.parametrize("name", SMALL)
def test_each_network_is_fitted_and_segments(name: str, tmp_path: Path) -> None:
    plan = make_plan(
        fingerprint(ball_dataset(4)),
        Budget(steps=2),
        network=name,  # type: ignore[arg-type]
        step_seconds=lambda *_: 0.01,
    )
    plan = replace(plan, network=replace(plan.network, **SMALL[name]), batch_size=2, mirror_axes=())
    fit(ball_dataset(4), plan, tmp_path / name)
    loaded = Bundle.load(tmp_path / name)
    assert loaded.plan == plan
    case = ball_case(7)
    assert segment(case.image, loaded).labels.grid == case.image.grid
