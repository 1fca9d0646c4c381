"""What the checkpoints of a training of classes know of the best epoch."""

import math
from pathlib import Path
from types import SimpleNamespace

from nnunetv2_pcrl.tasks.encoder.progress import AUROC, AVERAGE_PRECISION
from nnunetv2_pcrl.tasks.encoder.trainer import EncoderTrainer


def saved_after(aurocs: list[float], losses: list[float]) -> list[tuple[str, float | None]]:
    """Names of the checkpoints of some epochs, with what each knows to be the best value."""
    saved: list[tuple[str, float | None]] = []
    logged: dict[str, list] = {"epoch_start_timestamps": [], "epoch_end_timestamps": []}
    trainer = SimpleNamespace(
        logger=SimpleNamespace(
            local_logger=SimpleNamespace(my_fantastic_logging=logged),
            log=lambda name, value, _: logged[name].append(value),
        ),
        print_to_log_file=lambda *_: None,
        save_checkpoint=lambda path: saved.append((Path(path).stem, trainer._best_ema)),
        output_folder="",
        current_epoch=0,
        num_epochs=100,
        save_every=2,
        local_rank=1,
        _best_ema=None,
    )
    for auroc, loss in zip(aurocs, losses, strict=True):
        values = {AUROC: auroc, AVERAGE_PRECISION: 0.5, "val_losses": loss}
        values |= {"train_losses": 1.0, "images_per_second": 1.0, "epoch_start_timestamps": 0.0}
        for name, value in values.items():
            logged.setdefault(name, []).append(value)
        EncoderTrainer.on_epoch_end(trainer)
    return saved


def test_the_latest_checkpoint_knows_the_best_value_of_its_own_epoch():
    assert saved_after([0.6, 0.9], [1.0, 1.0]) == [
        ("checkpoint_best", 0.6),
        ("checkpoint_best", 0.9),
        ("checkpoint_latest", 0.9),
    ]


def test_an_epoch_without_a_finite_score_is_not_the_best_for_ever():
    assert saved_after([math.nan, 0.7], [math.nan, 1.0])[0] == ("checkpoint_best", 0.7)


def test_the_loss_stands_for_an_auroc_that_is_not_defined():
    saved = saved_after([math.nan, math.nan], [1.0, 0.5])
    assert [value for _, value in saved] == [-1.0, -0.5, -0.5]
