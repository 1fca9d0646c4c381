"""nnUNetv2_pcrl_convert_weights: makes a file that is read without unpickling objects."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; a file that it declines ends it with the reason."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_convert_weights",
        description="Writes the network weights of a checkpoint, with the plain values beside "
        "them, into a file that needs no unpickling of objects.",
    )
    parser.add_argument("input", type=Path, help="checkpoint")
    parser.add_argument("output", type=Path, help="file to write")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="unpickle whatever the input holds, which can run any code on this machine; only for "
        "files whose maker you trust",
    )
    options = parsed(parser, arguments)
    # PyTorch takes seconds to import, and --help needs none of it.
    from nnunetv2_pcrl.weights.conversion import convert

    with exit_with_error():
        print("\n".join(convert(options.input, options.output, options.trust)))


if __name__ == "__main__":
    main()
