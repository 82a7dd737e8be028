"""Surfaces of structures: extracted with shared interfaces, smoothed, simplified, and proven sound."""

from vesalius.mesh.extract import extract
from vesalius.mesh.painted import Painted, paint
from vesalius.mesh.simplify import simplify
from vesalius.mesh.soundness import Soundness, check
from vesalius.mesh.surface import Interfaces, Surface

__all__ = ["Interfaces", "Painted", "Soundness", "Surface", "check", "extract", "paint", "simplify"]
