"""Settings of pretraining variants by name."""

import re
from collections.abc import Iterable
from typing import Any

from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings

# Everything of the method that the plan does not decide, so that changed defaults do not change it.
# Source: Zhou et al. 2023 (PCRLv2) and the authors' code. Their local crops measure 8 to 32 voxels
# for views of 16; in 2D they cover 5 to 30 % of the image, global ones 30 to 100 %.
_AUTHORS_BOTH = {
    "num_local": 6,
    "global_scale": (1.0, 1.75),
    "rotation_degrees": 10.0,
    "deformation_scale": 0.1,
    "blur_sigma": 2.0,
    "log_gamma": 0.3,
    "restoration_weight": 1.0,
    "comparison_weight": 1.0,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "num_epochs": 240,
    "shared_level": False,
}
_AUTHORS = {
    2: {
        **_AUTHORS_BOTH,
        "batch_size": 64,
        "initial_lr": 1e-2,
        "local_scale": (0.5, 1.3),
        "min_iou": 0.0,
        "swapped_part": 0.0,
        "num_cut_outs": 3,
        "cut_out_part": 1 / 7,
        "noise_std": 0.0,
        "contrast": 0.4,
    },
    3: {
        **_AUTHORS_BOTH,
        "batch_size": 32,
        "initial_lr": 1e-3,
        "local_scale": (0.5, 2.0),
        "min_iou": 0.3,
        "swapped_part": 0.2,
        "num_cut_outs": 0,
        "noise_std": 0.25,
        "contrast": 0.0,
    },
}
# Variants that are other methods: their weights are taken only by those who name them.
METHODS = ("authors", "restorationOnly", "comparisonOnly")


def authors_settings(num_axes: int) -> dict[str, Any]:
    """The authors' settings for 2 or 3 axes. View sizes stay those of the plan."""
    return dict(_AUTHORS[num_axes])


def joined_methods(words: Iterable[str]) -> str | None:
    """One name for several of `METHODS`, whatever their order; None for none of them."""
    return "_".join(sorted(set(words))) or None


def method_name(settings: PCRLv2Settings) -> str:
    """What a person should call a pretraining with these settings."""
    left_out = [
        name
        for name, weight in (
            ("restoration", settings.restoration_weight),
            ("comparison", settings.comparison_weight),
        )
        if not weight
    ]
    return " ".join(["PCRLv2", *(f"without {name}" for name in left_out)])


def settings_of_variant(word: str) -> dict[str, Any] | None:
    """Settings of a trainer variant by a part of its name; None if there is no such one.

    `restorationOnly` and `comparisonOnly` leave the other terms out of the loss, `seed1` draws
    everything anew, `lr1en3` is an initial learning rate of 1e-3 (nnU-Net's way to write it).
    """
    if word == "restorationOnly":
        return {"comparison_weight": 0.0}
    if word == "comparisonOnly":
        return {"restoration_weight": 0.0}
    if match := re.fullmatch(r"seed(\d+)", word):
        return {"seed": int(match[1])}
    rate = rate_of_word(word)
    return None if rate is None else {"initial_lr": rate}


def rate_of_word(word: str) -> float | None:
    """The learning rate that a word like lr1en3 stands for, here 1e-3; None if it is no such."""
    match = re.fullmatch(r"lr([1-9])en([1-9])", word)
    return match and int(match[1]) / 10 ** int(match[2])
