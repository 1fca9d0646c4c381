"""The portable weights file: tensors and plain Python, readable with weights_only=True."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nnunetv2_pcrl.weights.atomic import replaced_atomically

FILE_NAME = "pretrained_weights.pth"
CITATIONS = [
    {
        "type": "Methodology",
        "name": "PCRLv2",
        "apa_citations": [
            "Zhou, H.-Y., Lu, C., Chen, C., Yang, S., & Yu, Y. (2023). A Unified Visual "
            "Information Preservation Framework for Self-supervised Pre-training in Medical Image "
            "Analysis. IEEE Transactions on Pattern Analysis and Machine Intelligence. "
            "https://doi.org/10.1109/TPAMI.2023.3234002"
        ],
    },
    {
        "type": "Framework",
        "name": "nnU-Net",
        "apa_citations": [
            "Isensee, F., Jaeger, P. F., Kohl, S. A., Petersen, J., & Maier-Hein, K. H. (2021). "
            "nnU-Net: a self-configuring method for deep learning-based biomedical image "
            "segmentation. Nature Methods, 18(2), 203-211."
        ],
    },
]
APA_CITATIONS = [text for citation in CITATIONS for text in citation["apa_citations"]]


def write_weights(
    path: str | os.PathLike, network_weights: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Writes the portable file, replacing an older one only when the new one is complete.

    Args:
        path: file to write.
        network_weights: state dict of the planned skip network, under its own names.
        about: plain Python: adaptation plan, citations, nnU-Net plans, settings, epochs.

    Raises:
        UnpicklingError: if `about` holds anything else; an older file is left as it was.
    """
    # Names that share a tensor go on sharing it: a copy each would multiply the file's size.
    copies: dict[tuple, Tensor] = {}
    weights = {
        name: copies.setdefault((value.data_ptr(), value.shape), value.detach().to("cpu"))
        for name, value in network_weights.items()
    }
    with replaced_atomically(path) as temporary:
        torch.save({**about, "network_weights": weights}, temporary)
        torch.load(temporary, map_location="cpu", weights_only=True, mmap=True)
