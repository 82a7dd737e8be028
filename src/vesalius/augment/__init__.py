"""Random transforms on (image, label) tensor batches: sample, then apply."""

from typing import TYPE_CHECKING, Any

from vesalius.augment.generation import Generation
from vesalius.augment.source import source_size
from vesalius.augment.spec import Augmentation

if TYPE_CHECKING:
    from vesalius.augment.drawing import sample
    from vesalius.augment.parameters import Parameters
    from vesalius.augment.pipeline import apply
    from vesalius.augment.rescale import rescale_batch

__all__ = ["Augmentation", "Generation", "Parameters", "apply", "rescale_batch", "sample", "source_size"]

_HOMES = {"Parameters": "parameters", "apply": "pipeline", "rescale_batch": "rescale", "sample": "drawing"}


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for, so that a plan can be read without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
