"""Deterministic transforms of images: reorient, resample, crop, pad, normalise, clean up. No torch."""

from vesalius.transform.argmax import resample_argmax, resample_painted, stream_argmax, stream_painted
from vesalius.transform.components import keep_largest, label_components, remove_small
from vesalius.transform.crop import content_box, content_mask, crop, crop_to_content, pad
from vesalius.transform.grey import GreyChannel, grey
from vesalius.transform.kernels import Interpolation
from vesalius.transform.normalise import Normalisation, Scheme, normalise
from vesalius.transform.postprocess import KeepLargest, Postprocessing, RemoveSmall, postprocess
from vesalius.transform.relabel import relabel
from vesalius.transform.reorient import reorient
from vesalius.transform.resample import LabelInterpolation, resample, respace
from vesalius.transform.sampling import coarse_axis
from vesalius.transform.stretch import anchor, stretch, stretched_grid

__all__ = [
    "GreyChannel",
    "Interpolation",
    "KeepLargest",
    "LabelInterpolation",
    "Normalisation",
    "Postprocessing",
    "RemoveSmall",
    "Scheme",
    "anchor",
    "coarse_axis",
    "content_box",
    "content_mask",
    "crop",
    "crop_to_content",
    "grey",
    "keep_largest",
    "label_components",
    "normalise",
    "pad",
    "postprocess",
    "relabel",
    "remove_small",
    "reorient",
    "resample",
    "resample_argmax",
    "resample_painted",
    "respace",
    "stream_argmax",
    "stream_painted",
    "stretch",
    "stretched_grid",
]
