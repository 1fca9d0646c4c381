"""nnUNetv2_train in several processes, on one machine or more: what torchrun starts.

    torchrun --nnodes N --nproc_per_node M ... -m nnunetv2_pcrl.launch DATASET CONFIG FOLD -tr ...

Takes the arguments of nnUNetv2_train, runs any of its trainers, and needs no GPU. nnU-Net's own
`-num_gpus` counts ranks over all machines as devices of each; here a device is the local rank's.
"""

import argparse
import importlib
import os
import sys

import torch
import torch.distributed as dist
from nnunetv2.run import run_training
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch.nn.parallel import DistributedDataParallel

from nnunetv2_pcrl.training.one_line_errors import install
from nnunetv2_pcrl.training.rank_watch import longest_wait_s


def main() -> None:
    """Command line, once in every process.

    Raises:
        ValueError: if torchrun did not start this process, or for arguments that do not fit.
    """
    device = _device_of_this_process(sys.argv[1:])
    longest_wait_s()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    _adapt_nnunet(device)
    run_training.run_training_entry()
    dist.destroy_process_group()


def _device_of_this_process(arguments: list[str]) -> torch.device:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-device", default="cuda")
    parser.add_argument("-num_gpus", type=int, default=1)
    known, _ = parser.parse_known_args(arguments)
    if known.num_gpus != 1:
        raise ValueError(
            f"Say -num_gpus {known.num_gpus} to torchrun: --nproc_per_node {known.num_gpus}"
        )
    if "LOCAL_RANK" not in os.environ:
        raise ValueError(
            "LOCAL_RANK is not set: start this with torchrun, e.g. torchrun --nproc_per_node 2 "
            "-m nnunetv2_pcrl.launch DATASET CONFIGURATION FOLD -tr PCRLv2PretrainTrainer"
        )
    if known.device == "cpu":
        return torch.device("cpu")
    if known.device != "cuda":
        raise ValueError(f"-device {known.device} cannot be used by several processes: cuda or cpu")
    local_rank = int(os.environ["LOCAL_RANK"])
    if local_rank >= torch.cuda.device_count():
        raise ValueError(
            f"local rank {local_rank} has no GPU, this machine has {torch.cuda.device_count()}: "
            f"lower --nproc_per_node, or use -device cpu"
        )
    return torch.device("cuda", local_rank)


def _adapt_nnunet(device: torch.device) -> None:
    """Lets nnU-Net, in this process, use the given device instead of the one numbered by rank."""
    build = run_training.get_trainer_from_args

    def build_on_device(*args, **kwargs) -> nnUNetTrainer:
        trainer = build(*args, **kwargs)
        trainer.device = device
        if device.type != "cuda":
            trainer.grad_scaler = None
            # nnU-Net has just taken all cores, in every process.
            torch.set_num_threads(_threads_of_this_process())
        return trainer

    def wrap(network: torch.nn.Module, device_ids: list[int]) -> DistributedDataParallel:
        return DistributedDataParallel(network)

    run_training.get_trainer_from_args = build_on_device
    # Where nnU-Net's trainer looks the wrapper up.
    vars(importlib.import_module(nnUNetTrainer.__module__))["DDP"] = wrap


def _threads_of_this_process() -> int:
    share = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return int(os.environ.get("OMP_NUM_THREADS", max(1, share)))


if __name__ == "__main__":
    install()
    main()
