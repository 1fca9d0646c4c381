import shutil
from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch

from nnunetv2_pcrl.doctor import machine
from nnunetv2_pcrl.doctor.gpus import examine_gpus

Usage = namedtuple("Usage", "total used free")


def small_shared_memory(monkeypatch, tmp_path, size: int) -> None:
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(size, 0, size))


@pytest.mark.parametrize(
    ("mib", "workers", "stops"), [(64, "4", True), (64, "0", False), (1024, "4", False)]
)
def test_little_shared_memory_stops_trainings_whose_workers_need_it(
    monkeypatch, tmp_path, mib, workers, stops
):
    small_shared_memory(monkeypatch, tmp_path, mib * 2**20)
    monkeypatch.setenv("nnUNet_n_proc_DA", workers)
    (problem,) = machine.examine_machine().problems
    assert ("64 MiB" if mib == 64 else "1.0 GiB") in problem.text
    assert "--shm-size" in problem.remedy
    assert problem.stops is stops


def test_a_container_counts_by_its_own_limits(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    facts = machine.examine_machine().facts
    assert facts["cores"] == "0.5"
    assert facts["memory"] == "1.0 GiB"


def test_a_container_without_limits_has_what_the_machine_has(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    expected = machine.usable_cores(), machine.memory_bytes()
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (machine.usable_cores(), machine.memory_bytes()) == expected


def with_a_gpu(monkeypatch, free_memory) -> None:
    properties = SimpleNamespace(name="Some GPU", total_memory=8 * 2**30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", free_memory)


def test_a_gpu_that_computes_is_shown_with_its_memory(monkeypatch):
    with_a_gpu(monkeypatch, lambda index: (4 * 2**30, 8 * 2**30))
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda size, device: ones(size))
    section = examine_gpus()
    assert section.facts["GPU 0"] == "Some GPU, 8.0 GiB, 4.0 GiB free"
    assert section.problems == ()


def test_a_gpu_that_does_not_compute_is_named_with_the_reason(monkeypatch):
    def fail(index):
        raise RuntimeError("no kernel image is available\nfor execution")

    with_a_gpu(monkeypatch, fail)
    (problem,) = examine_gpus().problems
    assert "GPU 0 (no kernel image is available)" in problem.text
    assert problem.stops


def test_a_driver_without_a_gpu_that_pytorch_sees_is_remarked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    section = examine_gpus()
    assert section.facts["GPU"] == "none: train with -device cpu"
    (problem,) = section.problems
    assert "sees no GPU" in problem.text
    assert not problem.stops
