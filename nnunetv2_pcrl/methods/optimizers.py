"""The optimisers that every method may take, and their usual numbers."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

OptimizerName = Literal["sgd", "nesterov", "adamw"]

# What follows from a choice of optimiser, unless a method or a person says otherwise.
# Source: SGD as the authors of PCRLv2, Nesterov as nnU-Net, AdamW as VoCo and SimCLR here.
USUAL: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"initial_lr": 1e-2, "momentum": 0.9, "weight_decay": 1e-4},
    "nesterov": {"initial_lr": 1e-2, "momentum": 0.99, "weight_decay": 3e-5},
    "adamw": {"initial_lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-2},
}


def learning(network: nn.Module) -> list[nn.Parameter]:
    """Parameters that an optimiser may see: those of teachers require no gradient."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def make_optimizer(
    network: nn.Module, name: OptimizerName, initial_lr: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The optimiser of what learns, at the highest learning rate.

    Args:
        network: backbone and heads.
        name: sgd, nesterov (SGD that looks ahead) or adamw.
        initial_lr: the highest learning rate.
        momentum: of SGD; AdamW's first beta, its second is 0.999.
        weight_decay: per step.
    """
    if name == "adamw":
        return torch.optim.AdamW(
            learning(network), initial_lr, betas=(momentum, 0.999), weight_decay=weight_decay
        )
    return torch.optim.SGD(
        learning(network),
        initial_lr,
        momentum=momentum,
        weight_decay=weight_decay,
        # Without momentum there is none to look ahead with.
        nesterov=name == "nesterov" and momentum > 0,
    )
