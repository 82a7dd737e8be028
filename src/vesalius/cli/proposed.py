"""The built-in segmenter that suits what a verb is to segment, where none was named."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from vesalius.cli.sources import find_sources

if TYPE_CHECKING:
    from vesalius.image import LeftOut
    from vesalius.predict.proposal import Proposal


def propose_bundle(args: argparse.Namespace) -> dict[str, Any]:
    """Choose the built-in segmenter that suits all images, and say so; `args.bundle` becomes its name.

    Every image is looked at before the first is segmented. One that cannot be read is left to the verb, which reports
    it.

    Args:
        args: Of ``vesalius segment``.

    Returns:
        The proposal for machines: name, how sure it is and why.

    Raises:
        DataError: An image suits none surely, or the images suit different ones.
    """
    from vesalius.bundle import Bundle, built_in
    from vesalius.errors import BundleError, DataError, VesaliusError
    from vesalius.io import read
    from vesalius.predict.proposal import choose, propose

    given = [name for name in ("channels", "members") if getattr(args, name) is not None]
    if given:
        raise BundleError(f"--{given[0]} are those of a segmenter: name it with --bundle")
    bundles = {name: Bundle.load(place) for name, place in built_in().items()}
    left_out: list[LeftOut] = []
    chosen: dict[str, Proposal] = {}
    unread: VesaliusError | None = None
    for source in find_sources(args, 1, left_out, []):
        try:
            image = read(source.images[0], series=args.series)
        except VesaliusError as error:
            unread = error
            continue
        try:
            chosen[source.name] = choose(propose(image, bundles))
        except DataError as error:
            raise DataError(f"{source.name}: {error}") from None
    if not chosen:
        raise unread or DataError("there is no image for which a segmenter could be proposed")
    names = {one.name for one in chosen.values()}
    if len(names) > 1:
        told = ", ".join(f"{image} {one.name}" for image, one in sorted(chosen.items()))
        raise DataError(f"the images suit different segmenters ({told}): segment them apart, or name one with --bundle")
    least = min(chosen.values(), key=lambda one: one.sureness)
    args.bundle = least.name
    if not args.json:
        print(
            f"vesalius: using the built-in segmenter {least.name} ({least.sureness:.0%} sure that it suits): "
            f"{'; '.join(least.reasons)}. If it doesn't, name another with --bundle",
            file=sys.stderr,
        )
    return {"bundle": least.name, "sureness": least.sureness, "reasons": list(least.reasons)}
