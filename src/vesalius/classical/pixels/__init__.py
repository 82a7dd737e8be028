"""Pixel classification: a few scribbles, and every voxel gets the class that its neighbourhood looks like."""

from vesalius.classical.pixels.classifier import PixelClassifier, train_pixels
from vesalius.classical.pixels.features import FAMILIES, Family, Features
from vesalius.classical.pixels.models import MODELS, ModelName
from vesalius.classical.pixels.storage import holds_pixels, load_pixels, save_pixels

__all__ = [
    "FAMILIES",
    "MODELS",
    "Family",
    "Features",
    "ModelName",
    "PixelClassifier",
    "holds_pixels",
    "load_pixels",
    "save_pixels",
    "train_pixels",
]
