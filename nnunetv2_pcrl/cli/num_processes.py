"""The option -np of all commands that work with several processes."""

import argparse


def add_num_processes(parser: argparse.ArgumentParser, what: str = "processes") -> None:
    """Adds -np, whose default nnU-Net knows.

    Args:
        parser: of the command.
        what: is counted.
    """
    about = f"{what} (default: nnU-Net's number, which the variable nnUNet_def_n_proc changes)"
    parser.add_argument("-np", type=int, metavar="N", help=about)


def num_processes(given: int | None) -> int:
    """The number of -np, or nnU-Net's.

    Args:
        given: value of -np; None if it was not given.
    """
    # Here, so that --help is quick.
    from nnunetv2.configuration import default_num_processes

    return default_num_processes if given is None else given
