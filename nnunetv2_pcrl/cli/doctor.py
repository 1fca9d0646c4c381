"""nnUNetv2_pcrl_doctor: what this installation has, and what would stop a training."""

import argparse
import sys
from collections.abc import Sequence

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error, printable


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_doctor",
        description="Examines this installation: versions, nnU-Net's folders, the trainers that "
        "nnU-Net finds, GPUs, memory, shared memory and environment variables, and names what is "
        "wrong with a remedy, on one page for bug reports. Ends with status 1 if something would "
        "stop a training.",
    )
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parsed(build_parser(), arguments)
    with exit_with_error():
        # Here, so that --help is quick.
        from nnunetv2_pcrl.doctor.page import as_json, as_text, examined, problems_in

        sections = examined()
        print(printable(as_json(sections) if args.json else as_text(sections)))
        if any(problem.stops for problem in problems_in(sections)):
            sys.exit(1)


if __name__ == "__main__":
    main()
