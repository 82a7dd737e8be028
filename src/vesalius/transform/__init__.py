"""Deterministic transforms of images: place, crop, denoise, correct, scale, clean up; pipelines of them. No torch."""

from vesalius.transform.argmax import resample_argmax, resample_painted, stream_argmax, stream_painted
from vesalius.transform.bias import n4
from vesalius.transform.body import body, body_mask, brain, brain_mask
from vesalius.transform.components import connected_to, keep_largest, label_components, remove_small
from vesalius.transform.contrast import (
    WINDOWS_HU,
    WindowPreset,
    clahe,
    equalise,
    gamma,
    match_histogram,
    quantiles,
    window,
)
from vesalius.transform.crop import content_box, content_mask, crop, crop_to_content, pad
from vesalius.transform.denoise import bilateral, gaussian, median, noise_level
from vesalius.transform.diffusion import anisotropic_diffusion
from vesalius.transform.grey import GreyChannel, grey
from vesalius.transform.kernels import Interpolation
from vesalius.transform.non_local_means import non_local_means
from vesalius.transform.normalise import Normalisation, Scheme, normalise
from vesalius.transform.pipeline import STEPS, Pipeline, Step, find_step, preprocess
from vesalius.transform.placement import isotropic, orient, with_pixel_size
from vesalius.transform.postprocess import KeepLargest, Postprocessing, RemoveSmall, postprocess
from vesalius.transform.relabel import relabel
from vesalius.transform.reorient import reorient
from vesalius.transform.resample import LabelInterpolation, resample, respace
from vesalius.transform.sampling import coarse_axis
from vesalius.transform.scale import nyul, nyul_landmarks, percentile, suv, white_stripe, z_score
from vesalius.transform.stretch import anchor, stretch, stretched_grid

__all__ = [
    "STEPS",
    "WINDOWS_HU",
    "GreyChannel",
    "Interpolation",
    "KeepLargest",
    "LabelInterpolation",
    "Normalisation",
    "Pipeline",
    "Postprocessing",
    "RemoveSmall",
    "Scheme",
    "Step",
    "WindowPreset",
    "anchor",
    "anisotropic_diffusion",
    "bilateral",
    "body",
    "body_mask",
    "brain",
    "brain_mask",
    "clahe",
    "coarse_axis",
    "connected_to",
    "content_box",
    "content_mask",
    "crop",
    "crop_to_content",
    "equalise",
    "find_step",
    "gamma",
    "gaussian",
    "grey",
    "isotropic",
    "keep_largest",
    "label_components",
    "match_histogram",
    "median",
    "n4",
    "noise_level",
    "non_local_means",
    "normalise",
    "nyul",
    "nyul_landmarks",
    "orient",
    "pad",
    "percentile",
    "postprocess",
    "preprocess",
    "quantiles",
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
    "suv",
    "white_stripe",
    "window",
    "with_pixel_size",
    "z_score",
]
