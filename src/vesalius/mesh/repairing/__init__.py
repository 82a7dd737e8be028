"""Broken meshes of other programs made sound, and what was done to them."""

from vesalius.mesh.repairing.repair import LARGEST_HOLE_MM, Repaired, repair

__all__ = ["LARGEST_HOLE_MM", "Repaired", "repair"]
