"""Before and after: two scans of one patient in one space, what has changed, by how much, and where."""

from vesalius.studies.change.comparing import LIMITS_MM, Change, Growth, compare
from vesalius.studies.change.measuring import CHANGES, Changed, Moved, Place
from vesalius.studies.change.placing import LinearKind, Placed, Scan, find_place, put
from vesalius.studies.change.telling import told_of, write_change

__all__ = [
    "CHANGES",
    "LIMITS_MM",
    "Change",
    "Changed",
    "Growth",
    "LinearKind",
    "Moved",
    "Place",
    "Placed",
    "Scan",
    "compare",
    "find_place",
    "put",
    "told_of",
    "write_change",
]
