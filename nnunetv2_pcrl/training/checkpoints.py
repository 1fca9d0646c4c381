"""What a checkpoint of a pretraining holds: nnU-Net's entries, settings and an unfinished epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def checkpoint_of(
    trainer: nnUNetTrainer, epochs_done: int, outputs: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """The checkpoint of a trainer; tensors and plain values only.

    Args:
        trainer: in training.
        epochs_done: finished epochs; logged values of a later one are left out.
        outputs: numbers of the steps of the epoch after them, as far as it was computed.
    """
    scaler = trainer.grad_scaler
    logged = trainer.logger.get_checkpoint()
    return {
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


def changes_of(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Settings that are not what they were when a checkpoint was written, in words."""
    return [
        f"setting {name} was {stored.get(name)} and is now {value}"
        for name, value in now.items()
        if stored.get(name) != value
    ]
