"""Logits of cases: the mean over all inputs that show a case."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor, nn


@torch.no_grad()
def case_logits(
    network: nn.Module,
    batches: Iterable[dict],
    device: torch.device,
    autocast: Callable[[], AbstractContextManager],
) -> dict[str, np.ndarray]:
    """Logits by case, each of shape [K], float64.

    Args:
        network: gives logits [B, K] of images [B, C, *patch]; put into evaluation mode by the
            caller.
        batches: with `image` [B, C, *patch] and `case` (B identifiers); inputs of a case may lie
            in several batches.
        device: of the network.
        autocast: mixed precision where it is wanted.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for batch in batches:
        with autocast():
            logits = network(batch["image"].to(device, non_blocking=True))
        for case, values in zip(batch["case"], logits.double().cpu(), strict=True):
            sums[case] = sums.get(case, 0) + values
            counts[case] = counts.get(case, 0) + 1
    return {case: (total / counts[case]).numpy() for case, total in sums.items()}
