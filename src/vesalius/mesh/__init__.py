"""Surfaces of structures: extracted with shared interfaces, smoothed, simplified, and proven sound."""

from vesalius.mesh.surface import Interfaces, Surface

__all__ = ["Interfaces", "Surface"]
