"""Environment variables that change what a training does."""

import os

from nnunetv2_pcrl.doctor.findings import Problem, Section
from nnunetv2_pcrl.doctor.lookup import other_folders
from nnunetv2_pcrl.registration import EXTERNAL_TRAINERS_VARIABLE
from nnunetv2_pcrl.settings.environment import PROCESSES_VARIABLE, WORKERS_VARIABLE

_STARTS = ("nnUNet_", "CUDA_", "NCCL_", "OMP_", "MKL_", "PYTORCH_", "TORCH_", "SLURM_JOB_")
# Shown elsewhere on the page.
_ELSEWHERE = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", EXTERNAL_TRAINERS_VARIABLE)
_WEIGHTS_VARIABLE = "nnUNet_pcrl_weights"
# What nnU-Net reads as a whole number while it is imported.
_NUMBERS = (PROCESSES_VARIABLE, WORKERS_VARIABLE)


def examine_variables() -> Section:
    """The variables that are set; paths are not shown, because the page is to be sent around."""
    facts = {
        name: _shown(value)
        for name, value in sorted(os.environ.items())
        if name.startswith(_STARTS) and name not in _ELSEWHERE
    }
    if folders := other_folders():
        facts[EXTERNAL_TRAINERS_VARIABLE] = f"{len(folders)} folders besides ours"
    return Section("Environment variables", facts or {"set": "none"}, tuple(_problems()))


def unreadable_numbers() -> list[Problem]:
    """Values that end every command of nnU-Net while it is imported."""
    return [
        Problem(
            f"{name} is {os.environ[name]!r}, and nnU-Net reads a whole number",
            f"export {name}=4, or unset {name}",
            stops=True,
        )
        for name in _NUMBERS
        if name in os.environ and not os.environ[name].strip().isdecimal()
    ]


def _problems() -> list[Problem]:
    problems = unreadable_numbers()
    if os.environ.get(WORKERS_VARIABLE, "").strip() == "0":
        text = f"{WORKERS_VARIABLE} is 0, with which trainings run, and nnU-Net's planning fails"
        problems.append(Problem(text, "unset it for nnUNetv2_plan_and_preprocess"))
    weights = os.environ.get(_WEIGHTS_VARIABLE)
    if weights and not os.path.isfile(weights):
        text = f"{_WEIGHTS_VARIABLE} names no file, so fine-tuning does not start"
        problems.append(Problem(text, "name a weights file, or unset it"))
    return problems


def _shown(value: str) -> str:
    if os.sep not in value:
        return value
    return "a path" if os.path.exists(value) else "a path where nothing is"
