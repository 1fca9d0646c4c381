"""nnUNetv2_pcrl_inspect: prints what a pretrained file holds."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.weights.sources import PretrainedSource, read_source


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; a file that cannot be read ends it with the reason and exit status 1."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_inspect",
        description="Prints what a pretrained file holds: method, plan, spacing, channels, "
        "normalisation, epochs, citations. Nothing in the file is run.",
    )
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    try:
        print("\n".join(description(read_source(options.file))))
    except ValueError as error:
        parser.exit(1, f"{error}\n")


def description(source: PretrainedSource) -> list[str]:
    """The lines that the command prints."""
    done, planned = source.epochs_done, source.num_epochs
    names = source.channel_names
    channels = f"{source.num_input_channels}" + (f" ({', '.join(names)})" if names else "")
    facts = {
        "kind": source.kind,
        "method": source.method,
        "architecture": source.architecture,
        "data set": source.dataset_name,
        "plans": source.plans_name,
        "configuration": source.configuration,
        "spacing (mm)": _joined(source.spacing),
        "patch size (voxels)": _joined(source.patch_size),
        "input channels": channels,
        "normalisation": _joined(source.normalization),
        "epochs": None if done is None else f"{done} of {planned}" if planned else f"{done}",
        "tensors": f"{len(source.weights)}",
    }
    lines = [f"{name + ':':<22}{value or 'not said'}" for name, value in facts.items()]
    for citation in source.citations:
        for form in ("apa_citations", "bibtex_citations"):
            texts = citation.get(form) or ()
            texts = (texts,) if isinstance(texts, str) else texts
            lines += [f"cite ({citation.get('name')}): {text}" for text in texts]
    return lines


def _joined(values: tuple | None) -> str | None:
    return None if values is None else ", ".join(map(str, values))


if __name__ == "__main__":
    main()
