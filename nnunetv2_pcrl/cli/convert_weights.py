"""nnUNetv2_pcrl_convert_weights: makes a file that is read without unpickling objects."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nnunetv2_pcrl.weights.atomic import check_can_be_made
from nnunetv2_pcrl.weights.conversion import plain_content
from nnunetv2_pcrl.weights.portable import write_weights
from nnunetv2_pcrl.weights.reading import check_not_the_authors, load_safely
from nnunetv2_pcrl.weights.sources import source_from


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; a file that it declines ends it with the reason and exit status 1."""
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
    options = parser.parse_args(arguments)
    try:
        print(convert(options.input, options.output, options.trust))
    except ValueError as error:
        parser.exit(1, f"{error}\n")


def convert(path: Path, output: Path, trust: bool) -> str:
    """Converts a file.

    Args:
        path: checkpoint.
        output: file to write.
        trust: whether objects in it may be unpickled, which can run any code.

    Returns:
        What was written.

    Raises:
        ValueError: if the file needs objects and is not trusted, if it holds no U-Net of the known
            shape, or if the output exists already.
    """
    check_can_be_made(output)
    content = _load(path, trust)
    plain, dropped = plain_content(content)
    source = source_from(plain)
    weights = plain.pop("network_weights")
    write_weights(output, weights, plain)
    text = f"Wrote {len(weights)} tensors ({source.kind}) to {output}"
    return text + (f"; left out, as no plain values: {', '.join(dropped)}" if dropped else "")


def _load(path: Path, trust: bool) -> Any:
    if not trust:
        return load_safely(path)
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}")
    check_not_the_authors(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        # Objects of a file may raise anything, as may a truncated file.
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


if __name__ == "__main__":
    main()
