"""Footage in real time: cameras, videos, DICOM cines and folders of pictures, frame by frame."""

from vesalius.predict.stream.frames import FrameSegmenter
from vesalius.predict.stream.latency import Latencies
from vesalius.predict.stream.outputs import open_output
from vesalius.predict.stream.queue import LatestQueue
from vesalius.predict.stream.run import STALE_AFTER_S, Clock, FramePrediction, MonotonicClock, stream
from vesalius.predict.stream.smoothing import Smoothing
from vesalius.predict.stream.tally import Tally

__all__ = [
    "STALE_AFTER_S",
    "Clock",
    "FramePrediction",
    "FrameSegmenter",
    "Latencies",
    "LatestQueue",
    "MonotonicClock",
    "Smoothing",
    "Tally",
    "open_output",
    "stream",
]
