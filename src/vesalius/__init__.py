"""Medical image segmentation that plans itself to the data, the time and the memory that are there."""

__version__ = "0.1.0"
