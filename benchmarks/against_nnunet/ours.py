"""Vesalius with the weights of an nnU-Net folder, from file to file; see predict.py.

python -m against_nnunet.ours BUNDLE --cores 2
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from against_nnunet.turns import Clock, serve
from vesalius.predict import Segmenter, load_segmenter
from vesalius.predict.backends import Run
from vesalius.predict.folder import FileJob, segment_file


class Ours:
    """A bundle, with networks that stay loaded for each backend that was asked for."""

    def __init__(self, bundle: str) -> None:
        self.clock = Clock()
        self.place = bundle
        self.ready: dict[str, Segmenter] = {}
        run_of = Segmenter.run

        def timed(segmenter: Segmenter, window: tuple[int, ...], count: int) -> Run:
            run = run_of(segmenter, window, count)

            def look(windows: Tensor) -> Tensor:
                with self.clock.network():
                    return run(windows)

            return look

        Segmenter.run = timed  # type: ignore[method-assign]

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Segment one image; tells what it took."""
        job = FileJob(
            images=tuple(map(Path, request["images"])),
            target=Path(request["output"]),
            bundle=self.place,
            device="cpu",
            **request["settings"],
        )
        if job.backend not in self.ready:
            self.ready[job.backend] = load_segmenter(self.place, device="cpu", backend=job.backend)
        with self.clock.work():
            result = segment_file(job, segmenter=self.ready[job.backend])
        assert result.work is not None
        return {**self.clock.told, "backend": result.work.backend}


def main() -> None:
    """Load, then answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--cores", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.cores)
    serve(Ours(args.bundle).answer)


if __name__ == "__main__":
    main()
