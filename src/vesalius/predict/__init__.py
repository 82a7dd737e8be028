"""Inference: windows, mirroring, ensembles, cascades, and the way back to the image's own grid."""

from vesalius.predict.logits import as_it_is, logits_of
from vesalius.predict.segment import Prediction, segment
from vesalius.predict.segmenter import Segmenter, load_network, load_segmenter
from vesalius.predict.slicewise import segment_slices
from vesalius.predict.stages import coarse_classes, with_coarse

__all__ = [
    "Prediction",
    "Segmenter",
    "as_it_is",
    "coarse_classes",
    "load_network",
    "load_segmenter",
    "logits_of",
    "segment",
    "segment_slices",
    "with_coarse",
]
