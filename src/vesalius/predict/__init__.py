"""Inference: windows, mirroring, and the way back to the image's own grid."""

from vesalius.predict.segment import Prediction, load_network, logits_of, segment

__all__ = ["Prediction", "load_network", "logits_of", "segment"]
