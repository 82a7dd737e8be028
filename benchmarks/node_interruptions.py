"""Does a DICOM node that is killed at any moment lose a result, or send one twice?

Somebody sends CT series to a node; a rule segments each and sends SEG and SR to Orthanc (Debian's, on loopback, with
users). The node is killed for good (SIGKILL) at random moments between the first image of a series and the time that an
undisturbed one takes to its last result, and started anew with another series. At the end it is left alone until it is
done; what Orthanc has is counted, and how often each object was sent to it.

    python benchmarks/node_interruptions.py --kills 20
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def main() -> None:
    """Kill, go on, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how often the node is killed (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    args = parser.parse_args()
    from node_killing import kill_again_and_again

    with tempfile.TemporaryDirectory() as folder:
        found = kill_again_and_again(Path(folder), kills=args.kills, seed=args.seed)
    for state, count in found.when.most_common():
        print(f"killed {count:3} times {state}")
    print(f"{found.images} images of {found.series} series were sent in; the node has {found.kept}")
    print(f"{len(found.at_pacs)} results are in the PACS; they were sent {sum(found.arrivals.values())} times")
    print(f"lost: {found.lost}, sent twice: {found.twice}")
    told = ", ".join(f"{count} {name}" for name, count in sorted(found.noted.items()))
    print(f"the audit chain is {'whole' if found.chained else 'broken'}: {told}")


if __name__ == "__main__":
    main()
