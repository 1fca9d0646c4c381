"""nnUNetv2_pcrl_export: writes a pretrained file for the network of a given plan."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; weights that do not fit end it with the reason."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_export",
        description="Writes the weights of a pretrained file for the network of a given plan, "
        "under stock names and shapes, for -pretrained_weights and for nnU-Net's "
        "pretrained-weights commands.",
    )
    parser.add_argument("-i", dest="input", type=Path, required=True, help="checkpoint or weights")
    parser.add_argument("-o", dest="output", type=Path, required=True, help="file to write")
    parser.add_argument(
        "--plans",
        type=Path,
        help="nnU-Net plans file of the target; dataset.json beside it says the channels. "
        "Default: the plans of the pretraining, if they describe one of nnU-Net's U-Nets.",
    )
    parser.add_argument(
        "-c", dest="configuration", help="configuration; default: the one of the pretraining"
    )
    parser.add_argument(
        "--encoder_only",
        action="store_true",
        help="leave the decoder out: for commands that load the encoder only "
        "(stock -pretrained_weights needs the decoder too)",
    )
    parser.add_argument(
        "--other_dimension", action="store_true", help="allow 2D weights for 3D plans and back"
    )
    options = parsed(parser, arguments)
    # PyTorch and nnU-Net take seconds to import, and --help needs none of them.
    from nnunetv2_pcrl.tasks.export import export

    with exit_with_error():
        lines = export(
            options.input,
            options.output,
            options.plans,
            options.configuration,
            options.encoder_only,
            options.other_dimension,
        )
        print("\n".join(lines))


if __name__ == "__main__":
    main()
