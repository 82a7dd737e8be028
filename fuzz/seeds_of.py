"""Write the seeds of a target into a folder, in a process that no fuzzer has instrumented: prints how many."""

import sys
from pathlib import Path

from seeds import write_seeds

print(write_seeds(sys.argv[1], Path(sys.argv[2])))
