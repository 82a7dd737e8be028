"""nnU-Net's predictor and MONAI's inferer with the same network, end to end; see predict.py. For nnU-Net's Python.

    PYTHON -m against_nnunet.peers MODEL --cores 2

nnU-Net goes as its `predict_from_files_sequential` does: read, crop, normalise, resample, windows, bring back, write,
in this process. (Its default starts worker processes for reading and writing, which a single image does not repay;
predict.py times that, too, for a folder.) MONAI goes as its bundles do: its transforms, its inferer, its writer. It has
no mirroring of its own, so each window is mirrored as nnU-Net does it. Both compute in single precision, as they do on
a processor.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor

from against_nnunet.turns import Clock, serve


class Peers:
    """A trained nnU-Net folder, loaded."""

    def __init__(self, model: Path, *, fold: str) -> None:
        self.clock = Clock()
        self.predictor = nnUNetPredictor(
            tile_step_size=0.5, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
        )
        self.predictor.initialize_from_trained_model_folder(str(model), use_folds=(fold,))
        # The predictor loads the weights of each fold anew before it predicts: with one, they are loaded here.
        self.predictor.network.load_state_dict(self.predictor.list_of_parameters[0])
        self.network = self.predictor.network.eval()
        self.axes: tuple[int, ...] = tuple(self.predictor.allowed_mirroring_axes or ())
        forward = self.network.forward

        def timed(windows: Tensor) -> Tensor:
            with self.clock.network():
                found: Tensor = forward(windows)
            return found

        self.network.forward = timed

    def nnunet(self, images: Sequence[str], output: Path, *, mirror: bool) -> None:
        """From files to a file by nnU-Net; ``output`` without its suffix."""
        self.predictor.use_mirroring = mirror
        self.predictor.predict_from_files_sequential([list(images)], [str(output)])

    @torch.no_grad()
    def monai(self, images: Sequence[str], output: Path, *, mirror: bool) -> None:
        """From files to a file by MONAI."""
        from monai.data import MetaTensor
        from monai.inferers import SlidingWindowInferer
        from monai.transforms import (
            Compose,
            EnsureChannelFirst,
            Invert,
            LoadImage,
            NormalizeIntensity,
            SaveImage,
            Spacing,
        )

        plan = self.predictor.configuration_manager
        if set(plan.normalization_schemes) != {"ZScoreNormalization"}:
            raise SystemExit("MONAI's side knows z-scores only")
        # nnU-Net's arrays are (z, y, x), MONAI's (x, y, z).
        prepare = Compose(
            [
                LoadImage(image_only=True),
                EnsureChannelFirst(),
                Spacing(tuple(plan.spacing[::-1]), mode="bilinear"),
                NormalizeIntensity(channel_wise=True),
            ],
            map_items=False,
        )
        inferer = SlidingWindowInferer(tuple(plan.patch_size), sw_batch_size=1, overlap=0.5, mode="gaussian")
        network = self._mirrored if mirror else self.network
        image = prepare(list(images))
        logits = inferer(image.permute(0, 3, 2, 1)[None].contiguous().as_tensor(), network)[0]
        classes = logits.argmax(0, keepdim=True).permute(0, 3, 2, 1)
        found = MetaTensor(classes.float(), meta=image.meta, applied_operations=image.applied_operations)
        found = Invert(prepare, nearest_interp=True)(found)
        writer = SaveImage(
            output_dir=output.parent, output_postfix="", output_dtype="uint8", separate_folder=False, print_log=False
        )
        writer(found, filename=str(output))

    def answer(self, request: dict[str, Any]) -> dict[str, float]:
        """Segment one image; tells what it took."""
        with self.clock.work():
            getattr(self, request["way"])(request["images"], Path(request["output"]), mirror=request["mirror"])
        return self.clock.told

    def _mirrored(self, windows: Tensor) -> Tensor:
        turns = [turn for n in range(len(self.axes) + 1) for turn in combinations([a + 2 for a in self.axes], n)]
        total = self.network(windows)
        for turn in turns[1:]:
            total += self.network(windows.flip(turn)).flip(turn)
        return total / len(turns)


def main() -> None:
    """Load, then answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="nnU-Net's result folder, with plans.json")
    parser.add_argument("--fold", default="all")
    parser.add_argument("--cores", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.cores)
    peers = Peers(args.model, fold=args.fold)
    serve(peers.answer)


if __name__ == "__main__":
    main()
