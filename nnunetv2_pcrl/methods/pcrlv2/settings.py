"""Pretraining settings: derived from the planned patch, overridable in the plans file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from nnunetv2_pcrl.methods.pcrlv2.views import ViewSettings

SMALL_COMPARISON_BATCH = 8


@dataclass(frozen=True)
class PCRLv2Settings(ViewSettings):
    """Everything that a PCRLv2 pretraining depends on besides the data and the plan.

    Attributes:
        batch_size: images whose views are compared with one another in a step.
        num_epochs, num_iterations_per_epoch, num_val_iterations_per_epoch: length of the training.
        restoration_weight, comparison_weight: of both restorations, and of both comparisons, in
            the loss; 0 ablates them.
        initial_lr, momentum, weight_decay: of SGD with a cosine schedule per epoch.
        seed: of network initialisation, views and levels.
        min_cases: fewest cases to train on.
        global_views_at_a_time: views that pass the backbone together, and of local views as many as
            have the same voxels; None takes what fits into the memory of a segmentation step. It
            changes memory and speed only.
        shared_level: whether all comparisons of a step take place at one drawn level.
        restorations_every: epochs between pictures of restorations at least; 0 for none.
        probe_every: epochs between probes of labelled cases; 0 for none, so that no label is read.
    """

    batch_size: int = 16
    num_epochs: int = 240
    num_iterations_per_epoch: int = 100
    num_val_iterations_per_epoch: int = 10
    restoration_weight: float = 1.0
    comparison_weight: float = 1.0
    initial_lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4
    seed: int = 0
    min_cases: int = 2
    global_views_at_a_time: int | None = None
    shared_level: bool = False
    restorations_every: int = 1
    probe_every: int = 10

    @classmethod
    def names(cls) -> set[str]:
        """Names of all settings."""
        return {field.name for field in fields(cls)}

    def as_plain(self) -> dict[str, Any]:
        """Lists, numbers and strings only, for JSON and for checkpoints."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def derive_settings(
    patch_size: Sequence[int],
    total_stride: Sequence[int],
    spacing: Sequence[float],
    overrides: Mapping[str, Any] | None = None,
) -> PCRLv2Settings:
    """Settings for a planned network, so that nobody has to choose view sizes.

    Args:
        patch_size: planned patch, voxels per axis.
        total_stride: product of the planned strides per axis.
        spacing: planned spacing, mm per axis.
        overrides: settings that replace the derived ones; lists are taken as tuples.

    Raises:
        ValueError: if the settings do not fit the network or one another.
    """
    num_axes = len(patch_size)
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in (overrides or {}).items()}
    values: dict[str, Any] = {
        "global_size": tuple(map(global_view_size, patch_size, total_stride)),
        "spacing": tuple(float(s) for s in spacing),
    }
    if num_axes == 2:
        # The authors' 2D setting: cut-outs and intensity jitter instead of swaps, and a batch and
        # learning rate for small images.
        values |= {
            "batch_size": 64,
            "initial_lr": 1e-2,
            "swapped_part": 0.0,
            "num_cut_outs": 3,
            "noise_std": 0.0,
            "contrast": 0.4,
        }
    values |= given
    _check_view_size("global_size", values["global_size"], total_stride)
    values.setdefault(
        "local_size", tuple(map(local_view_size, values["global_size"], total_stride))
    )
    settings = PCRLv2Settings(**values)
    check_settings(settings, total_stride)
    return settings


def global_view_size(patch: int, stride: int) -> int:
    """Multiple of the stride nearest to 3/4 of the patch, 3 strides at least, within the patch."""
    largest = max(1, patch // stride)
    return stride * min(largest, max(3, _nearest(0.75 * patch / stride)))


def local_view_size(global_size: int, stride: int) -> int:
    """Multiple of the stride nearest to half the global view, 2 strides at least."""
    return stride * max(2, _nearest(0.5 * global_size / stride))


def _nearest(value: float) -> int:
    return math.floor(value + 0.5)


def check_settings(settings: PCRLv2Settings, total_stride: Sequence[int]) -> None:
    """Refuses settings that cannot work.

    Raises:
        ValueError: with the numbers and the remedy.
    """
    num_axes = len(total_stride)
    for name in ("global_size", "local_size"):
        _check_view_size(name, getattr(settings, name), total_stride)
    _demand(
        _are_numbers(settings.spacing, num_axes) and min(settings.spacing) > 0,
        f'"spacing" must be {num_axes} positive numbers (mm), got {settings.spacing!r}',
    )
    for name in ("global_scale", "local_scale"):
        scale = getattr(settings, name)
        _demand(
            _are_numbers(scale, 2) and 0 < scale[0] <= scale[1],
            f'"{name}" must be [lowest, highest] with 0 < lowest <= highest, got {scale!r}',
        )
    for name in ("batch_size", "num_epochs", "num_iterations_per_epoch", "num_local", "min_cases"):
        _demand_integer(settings, name, 2 if name == "batch_size" else 1)
    for name in ("num_val_iterations_per_epoch", "num_cut_outs", "seed"):
        _demand_integer(settings, name, 1 if name == "num_val_iterations_per_epoch" else 0)
    if settings.global_views_at_a_time is not None:
        _demand_integer(settings, "global_views_at_a_time", 1)
    for name in ("restorations_every", "probe_every"):
        _demand_integer(settings, name, 0)
    _demand(
        isinstance(settings.shared_level, bool),
        f'"shared_level" must be true or false, got {settings.shared_level!r}',
    )
    _demand_range(settings, "min_iou", 0.0, 0.95)
    _demand_range(settings, "momentum", 0.0, 0.9999)
    for name in ("deformation_scale", "swapped_part", "contrast"):
        _demand_range(settings, name, 0.0, 1.0)
    for name in ("patch_part", "cut_out_part"):
        _demand_range(settings, name, 0.01, 1.0)
    _demand_range(settings, "rotation_degrees", 0.0, 180.0)
    for name in ("restoration_weight", "comparison_weight"):
        _demand_range(settings, name, 0.0, 100.0)
    _demand(
        settings.restoration_weight + settings.comparison_weight > 0,
        '"restoration_weight" and "comparison_weight" are both 0: there is nothing to learn',
    )
    for name in ("blur_sigma", "noise_std", "log_gamma", "weight_decay", "initial_lr"):
        _demand_range(settings, name, 0.0, 100.0)


def _check_view_size(name: str, size: Any, total_stride: Sequence[int]) -> None:
    _demand(
        isinstance(size, tuple)
        and len(size) == len(total_stride)
        and all(isinstance(s, int) and s > 0 for s in size),
        f'"{name}" must be {len(total_stride)} positive integers, got {size!r}',
    )
    _demand(
        all(s % d == 0 for s, d in zip(size, total_stride, strict=True)),
        f'"{name}" {list(size)} must be a multiple of the total stride {list(total_stride)} of the '
        f"planned network on every axis",
    )
    _demand(
        math.prod(s // d for s, d in zip(size, total_stride, strict=True)) >= 2,
        f'"{name}" {list(size)} leaves a single voxel at the bottleneck (total stride '
        f"{list(total_stride)}), which instance normalisation cannot normalise; enlarge it",
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(values: Any, count: int) -> bool:
    return isinstance(values, tuple) and len(values) == count and all(map(_is_number, values))


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(f"{message} (settings of PCRLv2 pretraining)")


def _demand_integer(settings: PCRLv2Settings, name: str, least: int) -> None:
    value = getattr(settings, name)
    _demand(
        isinstance(value, int) and not isinstance(value, bool) and value >= least,
        f'"{name}" must be an integer >= {least}, got {value!r}',
    )


def _demand_range(settings: PCRLv2Settings, name: str, low: float, high: float) -> None:
    value = getattr(settings, name)
    _demand(
        _is_number(value) and low <= value <= high,
        f'"{name}" must be a number in [{low}, {high}], got {value!r}',
    )
