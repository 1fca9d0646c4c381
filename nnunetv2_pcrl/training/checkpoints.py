"""What a checkpoint of a training holds, and whether a training can go on from one."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor

from nnunetv2_pcrl.weights.reading import IncompleteFileError, load_safely

# nnU-Net's own entries, without which it cannot go on.
_NEEDED = {
    "network_weights": Mapping,
    "optimizer_state": Mapping,
    "current_epoch": int,
    "logging": Mapping,
    "_best_ema": object,
    "init_args": Mapping,
}
# Entries that came later, and what they are where they are missing.
_DEFAULTS = {"epoch_outputs": (), "settings": None, "grad_scaler_state": None, "trainer_name": None}
# In the order in which --c looks for them.
_NAMES = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")


def checkpoint_of(
    trainer: nnUNetTrainer,
    epochs_done: int,
    outputs: Sequence[Mapping[str, float]],
    method: Mapping[str, Any],
) -> dict[str, Any]:
    """The checkpoint of a trainer; tensors and plain values only.

    Args:
        trainer: in training.
        epochs_done: finished epochs; logged values of a later one are left out.
        outputs: numbers of the steps of the epoch after them, as far as it was computed.
        method: entries that tell readers of the file how it was pretrained, as in the portable
            file: `method`, `variants`, `decoder`, `citations`.
    """
    scaler = trainer.grad_scaler
    logged = trainer.logger.get_checkpoint()
    return {
        **method,
        "network_weights": trainer.network.state_dict(),
        "optimizer_state": trainer.optimizer.state_dict(),
        "grad_scaler_state": scaler.state_dict() if scaler is not None else None,
        "logging": {name: values[:epochs_done] for name, values in logged.items()},
        # Under nnU-Net's name for its best value; here it is a loss.
        "_best_ema": trainer._best_ema,
        "current_epoch": epochs_done,
        "epoch_outputs": list(outputs),
        "init_args": trainer.my_init_kwargs,
        "trainer_name": type(trainer).__name__,
        "inference_allowed_mirroring_axes": trainer.inference_allowed_mirroring_axes,
        "settings": trainer.settings.as_plain(),
    }


def read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a checkpoint that a training is to go on from, without running anything in it.

    Returns:
        Its entries on the CPU. Those that an older version did not write have defaults:
        `epoch_outputs` is empty; `settings`, `trainer_name` and `grad_scaler_state` are None.

    Raises:
        ValueError: naming the file, why it cannot be used, and which whole one lies beside it.
        OSError: if it cannot be read.
    """
    path = Path(path)
    try:
        content = load_safely(path)
    except IncompleteFileError as error:
        raise ValueError(f"{error.reason}. {_remedy(path)}") from error
    entries = content if isinstance(content, dict) else {}
    missing = [
        name
        for name, kind in _NEEDED.items()
        if name not in entries or not isinstance(entries[name], kind)
    ]
    if missing:
        raise ValueError(
            f"{path} is no checkpoint of a training: it holds no {', no '.join(missing)}. "
            f"{_remedy(path)}"
        )
    return {**_DEFAULTS, **content}


def check_can_go_on(
    path: str | os.PathLike,
    checkpoint: Mapping[str, Any],
    trainer_name: str,
    network: Mapping[str, Tensor],
    optimizer: Mapping[str, Any],
) -> None:
    """Refuses a checkpoint of another training.

    Args:
        path: of the checkpoint, for the message.
        checkpoint: as `read_checkpoint` gives it.
        trainer_name: of the training that is to go on.
        network: state dict of its network.
        optimizer: state dict of its optimiser.

    Raises:
        ValueError: naming the file, what is different, and the remedy.
    """
    stored = checkpoint["trainer_name"]
    if stored is not None and str(stored).split("_")[0] != trainer_name.split("_")[0]:
        raise ValueError(
            f"{path} is a checkpoint of {stored}, and this is {trainer_name}: go on with "
            f"-tr {shlex.quote(str(stored))}, or move the file away and train anew without --c"
        )
    difference = _difference(checkpoint["network_weights"], network)
    if difference:
        raise ValueError(
            f"{path} holds another network than these plans: {difference}. Go on with the plans "
            f"that it was trained with (plans.json beside its fold), or train anew without --c"
        )
    groups = [len(group["params"]) for group in checkpoint["optimizer_state"]["param_groups"]]
    wanted = [len(group["params"]) for group in optimizer["param_groups"]]
    if groups != wanted:
        raise ValueError(
            f"{path} holds an optimiser with {groups} parameters in its groups, and these settings "
            f"make one with {wanted}: go on with the settings of learning rates and optimiser that "
            f"it was trained with, or train anew without --c"
        )


def _difference(stored: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> str:
    """How the tensors of a checkpoint differ from those of a network; empty if they fit."""
    have, wanted = (
        {name.removeprefix("module."): tuple(value.shape) for name, value in tensors.items()}
        for tensors in (stored, network)
    )
    found = []
    for names, what in (
        ([n for n in wanted if n not in have], "are not in the file"),
        ([n for n in have if n not in wanted], "are in the file only"),
    ):
        if names:
            found.append(f"{len(names)} tensors {what} (e.g. {names[0]})")
    others = [n for n in wanted if n in have and have[n] != wanted[n]]
    if others:
        name = others[0]
        found.append(
            f"{len(others)} tensors have another shape (e.g. {name}: file {have[name]}, network "
            f"{wanted[name]})"
        )
    return "; ".join(found)


def _remedy(path: Path) -> str:
    """How to go on without a checkpoint: from a whole one beside it, or anew."""
    for name in _NAMES:
        other = path.with_name(name)
        if name == path.name or not other.is_file():
            continue
        try:
            epoch = load_safely(other)["current_epoch"]
        except (ValueError, OSError, KeyError, TypeError):
            continue
        if path.name == _NAMES[0]:
            return f"{name} of epoch {epoch} is whole: remove {path.name}, and go on with --c"
        return f"{name} of epoch {epoch} is whole: rename it to {path.name}, and go on with --c"
    return "No whole checkpoint lies beside it: train anew without --c"


def changes_of(stored: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """Settings that are not what they were when a checkpoint was written, in words.

    Args:
        stored: settings in the checkpoint; None if it does not say them.
        now: settings of the training that goes on.
    """
    if stored is None:
        return ["the checkpoint does not say its settings, which may differ from those of now"]
    return [
        f"setting {name} was {stored.get(name)} and is now {value}"
        for name, value in now.items()
        if stored.get(name) != value
    ]
