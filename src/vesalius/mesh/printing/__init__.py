"""Printing: solids cut, joined, hollowed, put on a base, and proven fit for a printer."""

from vesalius.mesh.printing.cut import Connectors, Halves, cut
from vesalius.mesh.printing.hollow import Hollowed, hollow
from vesalius.mesh.printing.prepare import Base, Cut, Hollowing, Prepared, prepare
from vesalius.mesh.printing.proof import DENSITIES_G_CM3, LEAST_WALL_MM, Proof, prove
from vesalius.mesh.printing.stand import scale_to_fit, scaled, size_of, stand, united
from vesalius.mesh.printing.walls import Walls, measure_walls

__all__ = [
    "DENSITIES_G_CM3",
    "LEAST_WALL_MM",
    "Base",
    "Connectors",
    "Cut",
    "Halves",
    "Hollowed",
    "Hollowing",
    "Prepared",
    "Proof",
    "Walls",
    "cut",
    "hollow",
    "measure_walls",
    "prepare",
    "prove",
    "scale_to_fit",
    "scaled",
    "size_of",
    "stand",
    "united",
]
