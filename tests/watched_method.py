"""A method as the monitoring sees one: it draws one box per image and shows what it likes."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.pretraining_monitor import MonitoredRun
from nnunetv2_pcrl.monitoring.vocabulary import (
    Card,
    Chart,
    Column,
    Line,
    Matrix,
    Pictures,
    Series,
    Shown,
    both_phases,
)
from nnunetv2_pcrl.views.boxes import Box, draw_box_within
from nnunetv2_pcrl.views.channels import Channels

SHOWN = Shown(
    (Series("guess", short="guess", is_term=True), Series("state", ("val",))),
    (
        Chart("how well it guesses", both_phases("guess", "guess", 0), text="Lower is better."),
        Chart("its state", (Line("val_state", "state", 1),), from_zero=True),
    ),
    (Card("worst state", ("val_state",), "min", ".2f", "Of everything.", "state at least"),),
    loss="The guess alone.",
)


@dataclass(frozen=True)
class WatchedSettings:
    seed: int = 0
    num_epochs: int = 2
    pictures_every: int = 1
    probe_every: int = 1


@dataclass(frozen=True)
class OneBox:
    """Its views are the voxels of its boxes."""

    region: Box
    must_vary: tuple[Box, ...]
    boxes: Mapping[str, tuple[Box, ...]]

    def prepared(self) -> "OneBox":
        return self

    def make(self, region: Tensor) -> dict[str, Tensor]:
        return {"views": region[None].clone()}


@dataclass(frozen=True)
class BoxRecipe:
    size: tuple[int, ...]

    @property
    def num_axes(self) -> int:
        return len(self.size)

    def draw(self, image_size, channels, generator) -> OneBox:
        size = tuple(map(min, self.size, image_size))
        box = draw_box_within(size, Box((0,) * len(size), tuple(image_size)), generator)
        small = Box(box.start, tuple(max(1, s // 2) for s in size))
        return OneBox(box, (box,), {"the view": (box,), "parts": (small, small)})


class Doubling(nn.Module):
    """A network whose only level is twice the image."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))
        self.backbone = self._backbone

    def _backbone(self, x: Tensor) -> list[Tensor]:
        return [self.factor * x]


@dataclass
class WatchedMethod:
    size: tuple[int, ...]
    has_matrix: bool = False
    seen: list = field(default_factory=list)

    def recipe(self) -> BoxRecipe:
        return BoxRecipe(self.size)

    def pictures(self, network, drawn, views) -> Pictures:
        image = views["views"][0]
        assert not torch.is_grad_enabled() and not network.training and len(image) == 1
        self.seen.append(views)
        (doubled,) = network.backbone(image)
        matrix = Matrix("overlap", torch.tensor([[0.0, 1.0]]), ("a",), ("b", "c"))
        return Pictures(
            drawn.region,
            (
                Column("target", image[0]),
                Column("doubled", doubled[0], tuple(0.5 for _ in image[0])),
            ),
            (doubled - image)[0].abs(),
            (matrix,) if self.has_matrix else (),
            box_names={"parts": ("a", "b")},
        )


def watched_run(folder: Path, cases, method: WatchedMethod, **changes) -> MonitoredRun:
    """A run on preprocessed cases in a folder, whose results go there too."""
    num_axes = len(method.size)
    said: list[str] = changes.pop("said", [])
    values = {
        "output_folder": folder,
        "data_folder": folder,
        "training_cases": list(cases),
        "validation_cases": list(cases),
        "settings": WatchedSettings(),
        "method": method,
        "shown": SHOWN,
        "patch_size": method.size,
        "spacing": (1.0,) * num_axes,
        "total_stride": (2,) * num_axes,
        "transpose": (0, 1, 2),
        "channels": ["CT"],
        "measured": Channels.unmeasured(1),
        "classes": {},
        "network": Doubling(),
        "device": torch.device("cpu"),
        "autocast": nullcontext,
        "guard": Guard(said.append),
        "record": record(),
    }
    return MonitoredRun(**{**values, **changes})


def record(**changes) -> dict:
    """What a trainer says of a run."""
    about = {
        "data set": "Dataset001_A",
        "trainer": "GuessPretrainTrainer",
        "plans": "nnUNetPlans",
        "configuration": "3d_fullres",
        "fold": 0,
        "device": "cpu",
    }
    return {
        "method": "Guessing",
        "run": {**about, **changes.pop("run", {})},
        "command": "nnUNetv2_train Dataset001_A 3d_fullres 0 -tr GuessPretrainTrainer",
        "cases": {"training": ["case_a", "case_b"], "validation": ["case_c"]},
        "data": {"spacing [mm]": [1.0, 1.0, 1.0], "normalisation": ["CTNormalization"]},
        "settings": {"batch_size": 4, "guess_weight": 1.0},
        "num_epochs": 2,
        "usage": "Fine-tune them with nnUNetv2_train",
        "citations": ["A. Author (2026). Guessing."],
        **changes,
    }


def logged(num_epochs: int = 2, **series) -> dict[str, list]:
    """What nnU-Net's logger holds after so many epochs."""
    epochs = range(num_epochs)
    values = {
        "train_losses": [1.0 - 0.1 * e for e in epochs],
        "val_losses": [1.1 - 0.1 * e for e in epochs],
        "lrs": [0.01 * (1 - e / 240) for e in epochs],
        "train_guess": [0.9 - 0.1 * e for e in epochs],
        "val_guess": [1.0 - 0.1 * e for e in epochs],
        "val_state": [9.5 + 0.5 * e for e in epochs],
        "train_gradient_norm": [2.0] * num_epochs,
        "images_per_second": [4.0] * num_epochs,
        "data_wait_share": [0.1] * num_epochs,
        "probe_dice": [float("nan")] * num_epochs,
        "probe_dice_per_class": [float("nan")] * num_epochs,
        "epoch_start_timestamps": [1e9 + 10.0 * e for e in epochs],
        "epoch_end_timestamps": [1e9 + 9 + 10.0 * e for e in epochs],
    }
    return {**values, **series}
