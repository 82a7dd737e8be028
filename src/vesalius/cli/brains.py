"""The built-in segmenter of brains, as something that is asked for the brain in any image."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.image import LabelMap, Volume
    from vesalius.predict import Segmenter

_NAME = "brain"


def brain_finder() -> Callable[[Volume], LabelMap | None] | None:
    """What finds the brain in MR of heads by the built-in model; in images that its card does not suit, nothing.

    Returns:
        The function; ``None`` where PyTorch or the model is not installed. The model is loaded for the first head.
    """
    from vesalius.bundle import Bundle, built_in

    place = built_in().get(_NAME)
    if place is None or find_spec("torch") is None:
        return None
    bundle = Bundle.load(place)
    loaded: list[Segmenter] = []

    def find(image: Volume) -> LabelMap | None:
        from vesalius.predict import load_segmenter, segment
        from vesalius.predict.proposal import SURE_ENOUGH, propose

        if propose(image, {_NAME: bundle})[0].sureness < SURE_ENOUGH:
            return None
        if not loaded:
            loaded.append(load_segmenter(bundle))
        # Where the brain is takes one look; telling its structures apart is what the mirror image is for.
        return segment(image, loaded[0], mirror=False).labels

    return find
