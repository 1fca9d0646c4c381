"""nnUNetv2_pcrl_inspect: prints what a pretrained file holds."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; a file that cannot be read ends it with the reason."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_inspect",
        description="Prints what a pretrained file holds: method, decoder, plan, spacing, "
        "channels, normalisation, epochs, citations. Nothing in the file is run.",
    )
    parser.add_argument("file", type=Path)
    options = parsed(parser, arguments)
    # PyTorch takes seconds to import, and --help needs none of it.
    from nnunetv2_pcrl.weights.description import description
    from nnunetv2_pcrl.weights.sources import read_source

    with exit_with_error():
        print("\n".join(description(read_source(options.file))))


if __name__ == "__main__":
    main()
