"""GPUs that PyTorch can compute on, and their memory."""

import shutil

import torch

from nnunetv2_pcrl.doctor.findings import Problem, Section, in_gib


def examine_gpus() -> Section:
    """The GPUs, each with its memory, and whether a tensor can be computed on it."""
    facts = {"PyTorch was built for": _build()}
    problems = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts[f"GPU {index}"], problem = _examine(index)
            problems += [problem] if problem else []
    elif torch.backends.mps.is_available():
        facts["GPU"] = "Apple, by -device mps"
    else:
        facts["GPU"] = "none: train with -device cpu"
        problems += _hidden_gpus()
    return Section("GPUs", facts, tuple(problems))


def _build() -> str:
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    return f"ROCm {torch.version.hip}" if torch.version.hip else "the CPU alone"


def _examine(index: int) -> tuple[str, Problem | None]:
    properties = torch.cuda.get_device_properties(index)
    name = f"{properties.name}, {in_gib(properties.total_memory)}"
    try:
        free, _ = torch.cuda.mem_get_info(index)
        torch.ones(1, device=f"cuda:{index}").add_(1).item()
    except RuntimeError as error:
        text = f"nothing can be computed on GPU {index} ({str(error).splitlines()[0]})"
        remedy = (
            "free it if others use it, choose another one (CUDA_VISIBLE_DEVICES), or install a "
            "PyTorch built for it"
        )
        return name, Problem(text, remedy, stops=True)
    return f"{name}, {in_gib(free)} free", None


def _hidden_gpus() -> list[Problem]:
    """That a driver is there whose GPUs PyTorch does not see."""
    if not shutil.which("nvidia-smi"):
        return []
    text = "the machine has NVIDIA's driver, and PyTorch sees no GPU"
    remedy = (
        "see whether nvidia-smi lists one, whether CUDA_VISIBLE_DEVICES hides it, and install a "
        "PyTorch built for a CUDA that the driver knows (https://pytorch.org)"
    )
    return [Problem(text, remedy)]
