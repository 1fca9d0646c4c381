"""What a pretrained file holds, in lines for a person."""

from collections.abc import Iterable
from typing import Any

from nnunetv2_pcrl.weights.portable import citation_texts
from nnunetv2_pcrl.weights.remarks import DECODER_TEXTS, notes_on
from nnunetv2_pcrl.weights.sources import PretrainedSource


def description(source: PretrainedSource) -> list[str]:
    """A line for every fact, what is odd about the file, and what to cite."""
    done, planned = source.epochs_done, source.num_epochs
    names = source.channel_names
    channels = f"{source.num_input_channels}" + (f" ({', '.join(names)})" if names else "")
    facts = {
        "kind": source.kind,
        "method": source.method,
        "variants": ", ".join(source.variants) or ("none" if source.method else None),
        "decoder": DECODER_TEXTS[source.decoder],
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
    lines += notes_on(source)
    for citation in source.citations:
        name = citation.get("name")
        lines += [f"cite ({name}): {text}" for text in citation_texts([citation])]
    return lines


def _joined(values: Iterable[Any] | None) -> str | None:
    return None if values is None else ", ".join(map(str, values))
