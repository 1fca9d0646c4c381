"""Runs a Python program as if the machine had one core.

    python -m nnunetv2_pcrl.experiments.one_core PROGRAM [ARGUMENT]...

On a CPU nnU-Net takes as many threads as there are cores, in every training. OMP_THREAD_LIMIT is no
way to stop it: torch hangs with less threads than it has asked for.
"""

import os
import runpy
import sys


def main() -> None:
    """Command line."""
    os.cpu_count = lambda: 1
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
