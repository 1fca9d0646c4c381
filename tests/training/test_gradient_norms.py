"""Which term drives a training: norms of its gradient on the backbone, and what is said of them."""

import math

import pytest
import torch
from naive_step import naive_numbers
from steps import NUM_LOCAL, WEIGHTS, make_case, micro_batch_of

from nnunetv2_pcrl.methods.pcrlv2.loss import draw_levels
from nnunetv2_pcrl.methods.pcrlv2.objective import PCRLv2Objective
from nnunetv2_pcrl.monitoring.gradients import lost_sides, with_gradients
from nnunetv2_pcrl.monitoring.vocabulary import Series, Shown
from nnunetv2_pcrl.training.forecast import Forecast
from nnunetv2_pcrl.training.gradient_cache import Precision
from nnunetv2_pcrl.training.gradient_norms import gradient_norms
from nnunetv2_pcrl.training.joint_batch import JointBatch

LEVELS = draw_levels(3, NUM_LOCAL, torch.Generator().manual_seed(1))
SIDES = {"restorations": ("pixels", "level"), "comparisons": ("views",)}


@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_norms_equal_those_of_each_term_alone_in_one_graph_and_leave_nothing_behind(scale):
    case = make_case("PlainConvUNet", "2d")
    objective = PCRLv2Objective(LEVELS, WEIGHTS)
    found = gradient_norms(
        case.network,
        case.views,
        objective,
        micro_batch_of(case, 1),
        Precision(scale=scale),
        JointBatch(next(iter(case.views.values())).shape[1]),
    )
    assert all(parameter.grad is None for parameter in case.network.parameters())
    assert set(found) == {name for name, weight in objective.weights.items() if weight}
    for term, norm in found.items():
        case.network.zero_grad(set_to_none=True)
        numbers = naive_numbers(case.network, case.views, objective)
        (objective.weights[term] * numbers[term]).backward()
        squares = [
            float(parameter.grad.square().sum())
            for parameter in case.network.backbone.parameters()
            if parameter.grad is not None
        ]
        assert norm == pytest.approx(math.sqrt(sum(squares)), rel=1e-9)


def logged(**norms) -> dict[str, list]:
    return {f"val_gradient_{term}": [9.0, norm, math.nan] for term, norm in norms.items()}


def test_a_side_with_less_than_a_twentieth_of_the_gradient_is_named_with_a_remedy():
    found = lost_sides(logged(pixels=0.02, level=0.01, views=0.97), SIDES)
    assert list(found) == ["restorations lost"]
    assert "3.0 %" in found["restorations lost"] and "weight" in found["restorations lost"]
    assert lost_sides(logged(pixels=0.03, level=0.03, views=0.94), SIDES) == {}


def test_what_is_not_in_the_loss_or_was_not_measured_is_not_warned_about():
    assert lost_sides(logged(views=1.0), SIDES) == {}
    assert lost_sides({}, SIDES) == {}


def test_losses_of_several_terms_show_their_gradients_and_others_do_not():
    terms = tuple(Series(name, is_term=True) for name in ("pixels", "views"))
    shown = with_gradients(Shown(series=terms))
    assert [s.log_names for s in shown.series[2:]] == [
        ("val_gradient_pixels",),
        ("val_gradient_views",),
    ]
    assert [line.label for line in shown.charts[-1].lines] == ["pixels", "views"]
    alone = Shown(series=terms[:1])
    assert with_gradients(alone) == alone


def test_the_time_of_a_step_is_the_median_of_the_first_ones_without_the_very_first():
    forecast = Forecast()
    ends = [10.0, 60.0, 62.0, 64.0, 74.0, 76.0]
    assert [forecast.after_step(end) for end in ends] == [None] * 5 + [2.0]


def test_norms_are_finite_in_half_precision():
    case = make_case("PlainConvUNet", "2d")
    case.network.float()
    batch = {name: values.float() for name, values in case.views.items()}
    precision = Precision(lambda: torch.autocast("cpu", torch.bfloat16))
    joint = JointBatch(next(iter(batch.values())).shape[1])
    found = gradient_norms(
        case.network, batch, PCRLv2Objective(LEVELS, WEIGHTS), None, precision, joint
    )
    assert all(math.isfinite(norm) and norm > 0 for norm in found.values())
