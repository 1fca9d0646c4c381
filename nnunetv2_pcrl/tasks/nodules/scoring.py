"""Scores of all candidates by a network, and the table in which the challenge wants them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from nnunetv2_pcrl.datasets.positions import PROBABILITY, Positions, write_positions
from nnunetv2_pcrl.tasks.nodules.candidates import CandidateCubes


def score_candidates(
    network: nn.Module | Callable[[Tensor], Tensor],
    cubes: CandidateCubes,
    device: torch.device,
    batch_size: int,
    num_processes: int = 0,
) -> Positions:
    """Probabilities of being a nodule, of every candidate.

    Args:
        network: logits of cubes [B, C, D, H, W], shape [B, 1] (or [B]) of a nodule, or [B, 2] of
            none and of a nodule. A module is put into evaluation mode, and back afterwards.
        cubes: in any order.
        device: that the network is on.
        batch_size: cubes at once.
        num_processes: that read cubes; 0 reads them in this one.

    Returns:
        The candidates with probabilities in [0, 1] in the place of their classes.

    Raises:
        ValueError: if the network's logits have another shape.
    """
    loader = DataLoader(cubes, batch_size, shuffle=False, num_workers=num_processes)
    was_training = isinstance(network, nn.Module) and network.training
    if was_training:
        network.eval()
    try:
        with torch.no_grad():
            scores = [
                nodule_probabilities(network(images.to(device))).cpu()
                for images, _ in tqdm(loader, desc="Candidates", disable=not len(cubes))
            ]
    finally:
        if was_training:
            network.train()
    values = torch.cat(scores).double().numpy() if scores else np.empty(0)
    return replace(cubes.candidates, values=values)


def nodule_probabilities(logits: Tensor) -> Tensor:
    """Probabilities of being a nodule, shape [B], float32.

    Args:
        logits: shape [B] or [B, 1] of a nodule, or [B, 2] of none and of a nodule.

    Raises:
        ValueError: for another shape.
    """
    # In half precision probabilities above 0.9995 would be equal, and the FROC curve starts there.
    logits = logits.detach().float()
    if logits.ndim == 1 or logits.shape[1:] == (1,):
        return torch.sigmoid(logits.flatten())
    if logits.shape[1:] == (2,):
        return torch.softmax(logits, 1)[:, 1]
    raise ValueError(
        f"The network gives logits of shape {tuple(logits.shape)}; it must give [B, 1] or [B, 2]."
    )


def write_scores(path: Path, scores: Positions) -> None:
    """Writes seriesuid,coordX,coordY,coordZ,probability, as the challenge and our command read."""
    write_positions(path, scores, PROBABILITY)
