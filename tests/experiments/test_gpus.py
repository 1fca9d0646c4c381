import os

import pytest

from nnunetv2_pcrl.experiments.gpus import take_gpus, visible_gpus


def test_each_training_gets_a_gpu_of_its_own_as_long_as_there_are_some(tmp_path):
    taken = [take_gpus(["0", "1", "2"], 1, tmp_path) for _ in range(3)]
    assert [names for names, _ in taken] == [["0"], ["1"], ["2"]]
    # Then they share, again one by one.
    assert [take_gpus(["0", "1", "2"], 1, tmp_path)[0] for _ in range(4)] == [
        ["0"],
        ["1"],
        ["2"],
        ["0"],
    ]


def test_a_gpu_is_free_again_when_its_training_ends(tmp_path):
    (first, (descriptor,)), _ = (take_gpus(["0", "1"], 1, tmp_path) for _ in range(2))
    os.close(descriptor)
    assert take_gpus(["0", "1"], 1, tmp_path)[0] == first == ["0"]


def test_a_training_on_several_gpus_gets_different_ones(tmp_path):
    assert take_gpus(["0", "1", "2"], 2, tmp_path)[0] == ["0", "1"]
    assert take_gpus(["0", "1", "2"], 2, tmp_path)[0] == ["2", "0"]


def test_names_of_gpus_may_be_anything_that_cuda_takes(tmp_path):
    names = ["GPU-8932f937-d72c", "MIG-1/2:3"]
    assert take_gpus(names, 2, tmp_path)[0] == names
    assert all(path.parent == tmp_path for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(("value", "names"), [("3, 1", ["3", "1"]), ("", [])])
def test_gpus_are_those_that_this_process_may_use(monkeypatch, value, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == names
