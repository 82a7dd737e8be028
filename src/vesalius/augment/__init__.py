"""Random transforms on (image, label) tensor batches: sample, then apply."""

from typing import TYPE_CHECKING, Any

from vesalius.augment.spec import Augmentation, source_size

if TYPE_CHECKING:
    from vesalius.augment.parameters import Parameters, sample
    from vesalius.augment.pipeline import apply

__all__ = ["Augmentation", "Parameters", "apply", "sample", "source_size"]

_HOMES = {"Parameters": "parameters", "sample": "parameters", "apply": "pipeline"}


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for, so that a plan can be read without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
