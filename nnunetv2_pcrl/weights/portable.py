"""The portable weights file: tensors and plain Python, readable with weights_only=True.

Equal content gives equal bytes, wherever and whenever it is written.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from nnunetv2_pcrl.weights.atomic import replaced_atomically

# How the decoder in a file was trained: with skip connections, without them, or not at all.
SKIPS, NO_SKIPS, NO_DECODER = "skips", "no_skips", "none"
DECODERS = (SKIPS, NO_SKIPS, NO_DECODER)
# Cited beside the method that made the weights.
FRAMEWORK = {
    "type": "Framework",
    "name": "nnU-Net",
    "apa_citations": [
        "Isensee, F., Jaeger, P. F., Kohl, S. A., Petersen, J., & Maier-Hein, K. H. (2021). "
        "nnU-Net: a self-configuring method for deep learning-based biomedical image "
        "segmentation. Nature Methods, 18(2), 203-211."
    ],
}


def citations_with(method: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What to cite for weights: the method's own, and nnU-Net.

    Args:
        method: as nnssl writes them, each with `type`, `name` and `apa_citations`.
    """
    return [*(dict(citation) for citation in method), FRAMEWORK]


def citation_texts(citations: Iterable[Mapping[str, Any]]) -> list[str]:
    """The texts of citations as nnssl writes them, APA before BibTeX."""
    texts: list[str] = []
    for citation in citations:
        for form in ("apa_citations", "bibtex_citations"):
            found = citation.get(form) or ()
            texts += (found,) if isinstance(found, str) else found
    return texts


def write_weights(
    path: str | os.PathLike[str], network_weights: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Writes the portable file, replacing an older one only when the new one is complete.

    Args:
        path: file to write.
        network_weights: state dict of the planned skip network, under its own names.
        about: plain Python: `method`, `variants`, `decoder` (one of `DECODERS`), `citations`,
            adaptation plan, nnU-Net plans, settings, epochs.

    Raises:
        UnpicklingError: if `about` holds anything else; an older file is left as it was.
        ValueError: if `decoder` is something else.
    """
    if about.get("decoder", SKIPS) not in DECODERS:
        raise ValueError(f"decoder must be one of {DECODERS}, got {about['decoder']!r}")
    # Names that share a tensor go on sharing it: a copy each would multiply the file's size.
    copies: dict[tuple[int, torch.Size, torch.dtype], Tensor] = {}
    weights = {
        name: copies.setdefault((value.data_ptr(), value.shape, value.dtype), _stored(value))
        for name, value in network_weights.items()
    }
    content = _of_own_objects({**about, "network_weights": weights}, {})
    with replaced_atomically(path) as temporary:
        # A path would become a part of the file: PyTorch names the archive's folder after it.
        with open(temporary, "wb") as file:
            torch.save(content, file)
        torch.load(temporary, map_location="cpu", weights_only=True, mmap=True)


def _stored(value: Tensor) -> Tensor:
    """The tensor on the CPU, in the plain order of its axes and with nothing else behind it."""
    # Of an axis of one entry PyTorch may keep any stride, and would write it.
    value = value.detach().to("cpu").contiguous().flatten().reshape(value.shape)
    is_part = value.untyped_storage().nbytes() != value.numel() * value.element_size()
    return value.clone() if is_part else value


def _of_own_objects(value: Any, texts: dict[str, str]) -> Any:
    """The value in new containers, equal texts as one object.

    Pickle notes which objects are the same one, so equal values could differ as bytes.
    """
    if type(value) is str:
        return texts.setdefault(value, value)
    if isinstance(value, Mapping):
        return {_of_own_objects(k, texts): _of_own_objects(v, texts) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_of_own_objects(item, texts) for item in value)
    return value
