"""Put a fitted and scored bundle into the package: ``python models/brain/ship.py BUNDLE SCORES.json``.

The card gets the scores on the real scan, those of painted images by contrast, and in words all others. It promises
nothing of volumes: the maps that were held out are those of two persons, and however many images are painted from them,
they stay two.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from vesalius.bundle import Bundle
from vesalius.bundle.calibration import Calibration
from vesalius.bundle.subgroups import Subgroup
from vesalius.metrics.conformal import least_persons

LEVEL = 0.9
PLACE = Path(__file__).parents[2] / "src" / "vesalius" / "models" / "brain"


def main() -> None:
    """Write the bundle, its card and its log."""
    source, scored = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    words = json.loads((Path(__file__).parent / "card.json").read_text(encoding="utf-8"))
    real, painted = scored["oasis T1"], scored["painted"]
    shipped = Bundle.load(source).with_card(
        **words,
        scores={**real["structures"], "mean": real["mean"]},
        scores_on=_words(scored, real, painted),
        subgroups={"contrast": {"real T1": _subgroup(real), **_by_contrast(painted)}},
        calibration=_nothing_promised(painted),
    )
    shutil.rmtree(PLACE, ignore_errors=True)
    shipped.save(PLACE)
    for name in ("history.csv", "curves.png"):
        shutil.copyfile(source / name, PLACE / name)
    sys.stdout.write(f"{sum(path.stat().st_size for path in PLACE.iterdir()) / 1e6:.2f} MB in {PLACE.name}\n")


def _by_contrast(painted: dict[str, Any]) -> dict[str, Subgroup]:
    return {contrast: _subgroup(found) for contrast, found in painted["by contrast"].items()}


def _subgroup(found: dict[str, Any]) -> Subgroup:
    """Without intervals: over two persons there are none."""
    scores = {**found["structures"], "mean": found["mean"]}
    return Subgroup(cases=found["images"], persons=found.get("persons", 1), scores=scores)


def _nothing_promised(painted: dict[str, Any]) -> Calibration:
    least = least_persons(LEVEL)
    why = (
        f"no intervals of {100 * LEVEL:.0f} % and no outer region: {painted['persons']} persons, and {least} are needed"
    )
    return Calibration(
        on=f"{painted['images']} images painted from the maps of {painted['persons']} persons, who stay so few",
        cases=painted["images"],
        persons=painted["persons"],
        level=LEVEL,
        lacking=dict.fromkeys(painted["structures"], why),
    )


def _words(scored: dict[str, Any], real: dict[str, Any], painted: dict[str, Any]) -> str:
    low, high = painted["interval"]
    agreements = "; ".join(f"{name} {found['mean']:.2f}" for name, found in scored["agreement"].items())
    return (
        f"{real['images']} real T1, never trained on (OASIS-1, skull-stripped; the reference is FreeSurfer's, without "
        "the fluid around the brain). Mean on images of any contrast that were painted from 2 maps that were held out, "
        f"{painted['images']} images: {painted['mean']:.3f} (95 % interval {low:.3f} to {high:.3f}). Agreement "
        f"between two contrasts of one person, without labels: {agreements}"
    )


if __name__ == "__main__":
    main()
