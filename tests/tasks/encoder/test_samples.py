"""Samples by number: what each shows, in which order, and that all draws can be repeated."""

import itertools

import numpy as np
import pytest
import torch

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.classification.case_reader import CaseReader
from nnunetv2_pcrl.tasks.classification.framing import Framing
from nnunetv2_pcrl.tasks.encoder.samples import (
    AllInputs,
    OwnNumbers,
    ShuffledOrder,
    TrainingSamples,
    loader_of,
)


@pytest.fixture
def reader(tmp_path, write_case):
    """Five constant images: case n holds n."""
    for number in range(5):
        write_case(tmp_path, f"case_{number}", np.full((1, 2, 8, 8), number, dtype=np.float32))
    return CaseReader(tmp_path, Framing((8, 8)))


@pytest.fixture
def table():
    cases = tuple(f"case_{n}" for n in range(5))
    targets = np.array([[n % 2, np.nan] for n in range(5)])
    return ClassTable(cases, cases, ("",) * 5, ("odd", "x"), "multilabel", targets)


def noisy(image, numbers):
    generator = torch.Generator().manual_seed(sum(numbers))
    return image + torch.rand(image.shape, generator=generator) / 10


def samples_of(reader, table, seed=0) -> TrainingSamples:
    return TrainingSamples(reader, table, ShuffledOrder(len(table), seed), noisy, seed)


def test_every_case_comes_once_before_any_comes_again_with_its_own_target(reader, table):
    samples = samples_of(reader, table)
    for first in (0, 5, 10):
        shown = [samples[first + n] for n in range(5)]
        numbers = [int(sample["image"].mean()) for sample in shown]
        assert sorted(numbers) == [0, 1, 2, 3, 4]
        for number, sample in zip(numbers, shown, strict=True):
            assert sample["target"][0] == number % 2
            assert sample["target"][1].isnan()


def test_a_sample_is_a_function_of_seed_and_number(reader, table):
    samples, again = (samples_of(reader, table, seed=1) for _ in range(2))
    assert torch.equal(samples[7]["image"], again[7]["image"])
    orders = {seed: [ShuffledOrder(5, seed).row(n) for n in range(15)] for seed in (1, 2)}
    assert orders[1] != orders[2]
    assert orders[1][:5] != orders[1][5:10]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_go_on_where_an_earlier_run_stopped_whoever_makes_them(reader, table, num_workers):
    samples = samples_of(reader, table)

    def batches(first, count, workers):
        numbers = OwnNumbers(3, range(3), first)
        return [*itertools.islice(loader_of(samples, 3, workers, False, numbers), count)]

    whole = batches(0, 4, 0)
    rest = batches(2, 2, num_workers)
    for expected, batch in zip(whole[2:], rest, strict=True):
        assert torch.equal(batch["image"], expected["image"])
        assert torch.equal(batch["target"].nan_to_num(7), expected["target"].nan_to_num(7))


def test_processes_share_every_batch():
    whole = [*itertools.islice(OwnNumbers(5, range(5), 1), 10)]
    first = [*itertools.islice(OwnNumbers(5, range(0, 3), 1), 6)]
    second = [*itertools.islice(OwnNumbers(5, range(3, 5), 1), 4)]
    assert whole == list(range(5, 15))
    assert (first, second) == ([5, 6, 7, 10, 11, 12], [8, 9, 13, 14])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_all_inputs_of_all_cases_come_once_per_round(reader, num_workers):
    loader = loader_of(AllInputs(reader.inputs, ["case_3", "case_1"]), 3, num_workers, False)
    for _ in range(2):
        pairs = [
            (case, int(image.mean()))
            for batch in loader
            for case, image in zip(batch["case"], batch["image"], strict=True)
        ]
        # Two slices each.
        assert sorted(pairs) == [("case_1", 1)] * 2 + [("case_3", 3)] * 2


def test_a_case_that_cannot_be_read_is_named_with_the_remedy(reader, tmp_path, write_case):
    with pytest.raises(ValueError, match="Case lost cannot be used: there is no lost.b2nd.*Prepro"):
        next(reader.inputs("lost"))
    write_case(tmp_path, "broken", np.full((1, 1, 8, 8), np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="Case broken cannot be used: it contains values that are"):
        reader.drawn("broken", torch.Generator())
