"""Whether nnU-Net finds our trainers, by its own lookup."""

import contextlib
import io
import os
from pathlib import Path

from nnunetv2_pcrl.doctor.findings import Problem, Section
from nnunetv2_pcrl.registration import EXTERNAL_TRAINERS_VARIABLE, trainer_folder


def examine_lookup() -> Section:
    """The trainers that nnU-Net finds, and what of ours it does not."""
    # The lookup of nnU-Net and the trainers import torch.
    from nnunetv2_pcrl.trainers import BASES, trainer_named, trainer_names

    facts: dict[str, str] = {}
    missing = []
    for name in trainer_names():
        role = next(role for role in BASES if name.endswith(f"{role}Trainer"))
        method = name.removesuffix(f"{role}Trainer")
        if nnunets_trainer(name) is trainer_named(name):
            facts[method] = ", ".join(filter(None, (facts.get(method), role)))
        else:
            facts.setdefault(method, "")
            missing.append(name)
    problems = (*_lost_folders(), *([_not_found(missing)] if missing else ()))
    title = "Trainers that nnU-Net finds, by method: <Method><Task>Trainer"
    return Section(title, {method: tasks or "none" for method, tasks in facts.items()}, problems)


def nnunets_trainer(name: str) -> type | None:
    """What nnU-Net takes for a trainer of that name; None if it finds none."""
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    # It tells where it looks.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            found: type = recursive_find_trainer_class_by_name(name)
        except RuntimeError:
            return None
    return found


def other_folders() -> list[str]:
    """The folders of other trainers that nnU-Net looks in before ours."""
    known = os.environ.get(EXTERNAL_TRAINERS_VARIABLE, "").split(os.pathsep)
    return [folder for folder in known if folder.strip() and folder != trainer_folder()]


def _lost_folders() -> list[Problem]:
    lost = [folder for folder in other_folders() if not Path(folder).is_dir()]
    if not lost:
        return []
    text = f"{EXTERNAL_TRAINERS_VARIABLE} names {len(lost)} folders that do not exist"
    return [Problem(text, "take them out of it, or separate the names by a colon")]


def _not_found(missing: list[str]) -> Problem:
    text = f"nnU-Net does not find {len(missing)} of our trainers, e.g. {missing[0]}"
    if other_folders():
        return Problem(
            text, f"take other folders out of {EXTERNAL_TRAINERS_VARIABLE}: {len(other_folders())}"
        )
    return Problem(text, "unset TORCH_DEVICE_BACKEND_AUTOLOAD, or install the package again", True)
