"""Several processes that share a batch compute what one process computes from all of it."""

import os
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
import torch.distributed as dist
from naive_step import assert_equal_gradients, gradients, own_images
from ranks import run_on_ranks
from steps import BATCH_SIZE, WEIGHTS, all_draws, make_case, naive
from torch import nn

from nnunetv2_pcrl.methods.objective import Objective, Pass
from nnunetv2_pcrl.methods.pcrlv2.objective import PCRLv2Objective
from nnunetv2_pcrl.training import joint_batch
from nnunetv2_pcrl.training.gradient_cache import accumulate_gradients, evaluate
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.micro_batch import MicroBatch

pytestmark = pytest.mark.usefixtures("one_thread")
TERMS = ("restoration", "level_restoration", "global_comparison", "local_comparison")


def terms_of(numbers: dict, joint: JointBatch) -> list[float]:
    return joint.mean(torch.stack([numbers[name].detach() for name in TERMS])).tolist()


def draws() -> list:
    return all_draws(3)[::3]


def steps_of_a_rank(architecture: str, geometry: str, micro_batch: MicroBatch | None) -> list:
    """Averaged gradients, terms and spreads of a step at every draw of levels, and evaluated."""
    joint = JointBatch.of_this_process(BATCH_SIZE)
    outcomes = []
    for levels in draws():
        case = make_case(architecture, geometry)
        views = own_images(case.views, joint.own)
        objective = PCRLv2Objective(levels, WEIGHTS)
        numbers = accumulate_gradients(case.network, views, objective, micro_batch, joint=joint)
        joint.average_gradients(case.network)
        evaluated = evaluate(case.network, views, objective, micro_batch, joint=joint)
        outcomes.append(
            (
                gradients(case.network),
                terms_of(numbers, joint),
                terms_of(evaluated, joint),
                float(numbers[f"z_std_level_{levels.shared}"]),
            )
        )
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture, geometry, micro_batch, num_ranks",
    [
        ("PlainConvUNet", "2d", MicroBatch(400), 2),
        pytest.param(
            *("ResidualEncoderUNet", "anisotropic", MicroBatch(2 * 4 * 16 * 24), 2),
            marks=pytest.mark.slow,
        ),
        pytest.param("PlainConvUNet", "3d", None, 2, marks=pytest.mark.slow),
        ("PlainConvUNet", "2d", MicroBatch(400), 4),
    ],
)
def test_mean_gradients_terms_and_spreads_equal_those_of_one_process(
    architecture, geometry, micro_batch, num_ranks
):
    # Five images: the shares of the processes differ; of four, three have a single image.
    ranks = run_on_ranks(steps_of_a_rank, num_ranks, architecture, geometry, micro_batch)
    case = make_case(architecture, geometry)
    for levels, *outcomes in zip(all_draws(3)[::3], *ranks, strict=True):
        expected, expected_gradients = naive(case, levels)
        for ours, terms, evaluated, spread in outcomes:
            assert_equal_gradients(ours, expected_gradients)
            expected_terms = [expected[name] for name in TERMS]
            assert terms == pytest.approx(expected_terms, abs=1e-12)
            assert evaluated == pytest.approx(expected_terms, abs=1e-12)
            assert spread == pytest.approx(expected[f"z_std_level_{levels.shared}"])


def test_shares_cover_the_batch_and_differ_by_one_at_most():
    for num_images, num_ranks in ((16, 2), (16, 3), (5, 4), (3, 3)):
        shares = [JointBatch(num_images, rank, num_ranks) for rank in range(num_ranks)]
        assert [place for share in shares for place in share.own] == list(range(num_images))
        assert max(map(len, (s.own for s in shares))) - min(len(s.own) for s in shares) <= 1
        assert sum(share.weight for share in shares) == pytest.approx(num_ranks)


def test_more_processes_than_images_are_refused():
    with pytest.raises(ValueError, match="4 images .* cannot be shared by 5 processes"):
        JointBatch(4, 0, 5)


def test_one_process_sends_nothing_and_changes_nothing():
    assert not dist.is_initialized()
    joint = JointBatch.of_this_process(3)
    features, values = [torch.randn(2, 3, 4)], torch.randn(3)
    assert joint.gather(features)[0] is features[0] and joint.mean(values) is values
    assert joint.collect(["a"]) == ["a"] and joint.weight == 1


@dataclass(frozen=True)
class OfLastImage(Objective):
    """Compares nothing but the last image with 0: all other features have a gradient of zeros."""

    weights: ClassVar[dict[str, float]] = {"last": 1.0}
    passes: ClassVar[tuple[Pass, ...]] = (Pass("views", "global_views", levels=frozenset({1})),)

    def of_batch(self, network, pooled, tables) -> dict:
        return {"last": pooled["views"][1][:, -1].square().sum()}


def gradients_of_the_last_image(num_images: int, micro_batch: MicroBatch | None) -> dict:
    joint = JointBatch.of_this_process(num_images)
    case = make_case("PlainConvUNet", "2d")
    views = own_images(case.views, joint.own)
    accumulate_gradients(case.network, views, OfLastImage(), micro_batch, joint=joint)
    joint.average_gradients(case.network)
    return gradients(case.network)


def test_a_process_whose_images_have_no_gradient_uses_the_same_parameters_as_the_others():
    expected = gradients_of_the_last_image(BATCH_SIZE, None)
    for ours in run_on_ranks(
        gradients_of_the_last_image, 2, BATCH_SIZE, MicroBatch(400), timeout_s=60
    ):
        assert_equal_gradients(ours, expected)


def average_of_a_rank(bucket_values: int) -> dict:
    joint_batch.BUCKET_VALUES = bucket_values
    module = nn.ModuleDict({"a": nn.Linear(3, 2), "b": nn.Linear(2, 2), "unused": nn.Linear(1, 1)})
    joint = JointBatch.of_this_process(2)
    joint.broadcast(module)
    weight = module["a"].weight.detach().clone()
    for number, parameter in enumerate((*module["a"].parameters(), *module["b"].parameters())):
        parameter.grad = torch.full_like(parameter, number + 10.0 * dist.get_rank())
    joint.average_gradients(module)
    return {"weight": weight, "gradients": gradients(module), "all": joint.collect([joint.rank])}


@pytest.mark.parametrize("bucket_values", [1, 7, 2**20])
def test_gradients_are_averaged_whatever_the_pieces(bucket_values):
    first, second = run_on_ranks(average_of_a_rank, 2, bucket_values)
    assert first["all"] == second["all"] == [0, 1]
    assert torch.equal(first["weight"], second["weight"])
    for number, name in enumerate(("a.weight", "a.bias", "b.weight", "b.bias")):
        for outcome in (first, second):
            assert (outcome["gradients"][name] == number + 5).all()
    assert first["gradients"]["unused.weight"] is None


def message_of_the_survivor() -> str:
    joint = JointBatch.of_this_process(2)
    joint.mean(torch.zeros(1))
    if joint.rank == 1:
        os._exit(1)
    with pytest.raises(RuntimeError) as error:
        joint.mean(torch.zeros(1))
    return str(error.value)


def test_a_process_that_dies_ends_the_others_with_a_message():
    begin = time.monotonic()
    text, nothing = run_on_ranks(message_of_the_survivor, 2)
    assert nothing is None and time.monotonic() - begin < 60
    assert "Rank 0 lost the connection to another rank" in text and "--c" in text
