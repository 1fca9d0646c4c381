"""What is said of a checkpoint that cannot be written."""

import errno
import os
import re
from types import SimpleNamespace

import pytest
import torch

from nnunetv2_pcrl.training import writing_errors
from nnunetv2_pcrl.training.writing_errors import is_error_of_writing, why_not_written


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "the disk is full .* MiB are free.: make room"),
        (errno.EDQUOT, "the quota of the disk is used up .*: make room"),
        (errno.EACCES, "writing into .* is not allowed: .*Permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_errors_of_the_system_are_called_by_what_a_person_can_do(tmp_path, number, expected):
    error = OSError(number, os.strerror(number))
    assert is_error_of_writing(error)
    assert re.search(expected, why_not_written(error, tmp_path))


def test_pytorchs_writer_says_nothing_of_a_full_disk_but_the_disk_does(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError) as error:
        torch.save({"a": torch.ones(1)}, tmp_path / "no such folder" / "file")
    assert is_error_of_writing(error.value)
    assert "full" not in why_not_written(error.value, tmp_path)
    monkeypatch.setattr(
        writing_errors.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000)
    )
    assert why_not_written(error.value, tmp_path) == (
        "the disk is full (0 MiB are free): make room"
    )


def test_a_removed_folder_is_called_so(tmp_path):
    gone = tmp_path / "gone"
    assert why_not_written(OSError(errno.ENOENT, "x"), gone) == f"the folder {gone} is gone"


def test_other_errors_are_none_of_writing():
    assert not is_error_of_writing(RuntimeError("DataLoader worker (pid 7) is killed by signal"))
