"""Values with a place in space: grids, volumes, label maps, cases and data sets. Numpy only."""

from vesalius.image.dataset import Case, Dataset, LeftOut, Lineage, Record
from vesalius.image.grid import Grid
from vesalius.image.labels import Code, Label, Labels, Region
from vesalius.image.size import Quantity, Size
from vesalius.image.volume import LabelMap, Meta, Modality, Volume, count_values

__all__ = [
    "Case",
    "Code",
    "Dataset",
    "Grid",
    "Label",
    "LabelMap",
    "Labels",
    "LeftOut",
    "Lineage",
    "Meta",
    "Modality",
    "Quantity",
    "Record",
    "Region",
    "Size",
    "Volume",
    "count_values",
]
