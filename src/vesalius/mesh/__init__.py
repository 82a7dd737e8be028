"""Surfaces of structures: extracted with shared interfaces, smoothed, simplified, repaired, and proven sound."""

from vesalius.mesh.extract import extract
from vesalius.mesh.painted import Painted, paint
from vesalius.mesh.repairing import Repaired, repair
from vesalius.mesh.simplify import simplify
from vesalius.mesh.smoothing import smooth
from vesalius.mesh.soundness import Soundness, check
from vesalius.mesh.surface import Interfaces, Surface

__all__ = [
    "Interfaces",
    "Painted",
    "Repaired",
    "Soundness",
    "Surface",
    "check",
    "extract",
    "paint",
    "repair",
    "simplify",
    "smooth",
]
