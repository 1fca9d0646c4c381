import math
import re

import pytest

from nnunetv2_pcrl.monitoring.checks import (
    Watched,
    collapse,
    comparison_at_chance,
    narrow,
    of_every_training,
    one_term_drives_all,
    plateau,
    small_batch,
    stuck_at_the_mean,
)

REMEDY = 'Change "this".'


def logged(**series) -> dict[str, list]:
    epochs = max(len(values) for values in series.values())
    return {"epoch_end_timestamps": list(range(epochs)), **series}


def test_levels_whose_images_are_alike_have_collapsed():
    values = logged(low=[0.1, 0.1], middle=[0.1, 5e-4], high=[0.1, 9e-4])
    found = collapse(values, ["low", "middle", "high"], REMEDY)
    assert re.search(r'collapsed at level 1, 2: .* Change "this"\.', found["collapse"])
    assert collapse(values, ["low"], REMEDY) == {}


def test_few_directions_are_narrow_unless_the_batch_allows_no_more():
    values = logged(a=[1.9], b=[2.1])
    assert re.search("level 0 use fewer than 2", narrow(values, ["a", "b"], 16, REMEDY)["narrow"])
    assert narrow(values, ["b"], 16, REMEDY) == {}
    assert narrow(values, ["a", "b"], 3, REMEDY) == {}


def test_a_batch_is_small_below_the_least():
    assert small_batch(8, 8, REMEDY) == {}
    assert "batch of 7" in small_batch(7, 8, REMEDY)["small batch"]


@pytest.mark.parametrize(
    ("epochs", "error", "kind"),
    [
        (5, 1.2, None),
        (6, 0.94, None),
        (6, 0.97, "stuck at the mean"),
        (6, 1.2, "worse than the mean"),
        (6, math.nan, None),
    ],
)
def test_a_restoration_may_be_at_the_mean_in_the_first_epochs_only(epochs, error, kind):
    found = stuck_at_the_mean(logged(error=[error] * epochs), "error", REMEDY)
    assert list(found) == ([kind] if kind else [])
    if kind:
        assert f"is {error:.2f} of" in found[kind] and REMEDY in found[kind]


def test_views_that_find_their_image_by_chance_are_named_after_ten_epochs():
    values = logged(a=[0.06] * 10, b=[0.07] * 10)
    found = comparison_at_chance(values, ["a", "b"], 16, REMEDY)
    assert "7 % of the views find their image among 16, where chance gives 6 %" in str(found)
    assert comparison_at_chance(logged(a=[0.06] * 9), ["a"], 16, REMEDY) == {}
    assert comparison_at_chance(logged(a=[0.06] * 10, b=[0.1] * 10), ["a", "b"], 16, REMEDY) == {}


FLAT = [1.5, *[1.18] * 19]


def test_a_term_that_has_not_fallen_for_a_third_of_the_run_is_on_a_plateau():
    term = Watched("term", "the loss", settled=0.5)
    found = plateau(logged(term=FLAT), term, 60, REMEDY)
    text = found["the loss on a plateau"]
    assert "has not fallen for 20 epochs" in text and "1.18" in text and REMEDY in text
    assert plateau(logged(term=FLAT[:19]), term, 60, REMEDY) == {}
    falling = [1.5 - 0.01 * epoch for epoch in range(20)]
    assert plateau(logged(term=falling), term, 60, REMEDY) == {}


def test_a_term_may_stay_where_it_has_taught_what_it_can_and_at_the_end_of_the_schedule():
    assert plateau(logged(term=FLAT), Watched("term", "x", settled=1.2), 60, REMEDY) == {}
    rates = [1.0] * 19 + [0.2]
    assert plateau(logged(term=FLAT, lrs=rates), Watched("term", "x", 0.5), 60, REMEDY) == {}


def test_the_value_of_one_answer_for_all_images_is_named_after_ten_epochs():
    term = Watched("term", "the loss", settled=0.5, constant=1.17)
    found = plateau(logged(term=FLAT[:10]), term, 1000, REMEDY)
    assert "the value of one constant answer (1.170)" in found["the loss on a plateau"]
    assert plateau(logged(term=FLAT[:9]), term, 1000, REMEDY) == {}
    assert plateau(logged(term=[1.3] * 10), term, 1000, REMEDY) == {}


def test_a_loss_that_falls_through_one_term_alone_is_driven_by_it():
    falls, stays = [1.0 - 0.05 * epoch for epoch in range(10)], [0.4] * 10
    values = logged(val_big_term=falls, val_still=stays)
    found = one_term_drives_all(values, {"val_big_term": 1.0, "val_still": 1.0}, REMEDY)
    assert "falls through big term alone; still has not fallen" in found["one term drives all"]
    both = logged(a=falls, b=falls)
    assert one_term_drives_all(both, {"a": 1.0, "b": 1.0}, REMEDY) == {}
    # A term without weight is not in the loss, and a single term drives it rightly.
    assert one_term_drives_all(values, {"val_big_term": 1.0, "val_still": 0.0}, REMEDY) == {}


def test_every_training_is_told_when_it_waits_or_has_no_finite_loss():
    fine = logged(train_losses=[1.0, 0.9, 0.8], data_wait_share=[0.9, 0.1, 0.1])
    assert of_every_training(fine) == {}
    waits = logged(train_losses=[1.0, 0.9, 0.8], data_wait_share=[0.1, 0.5, 0.42])
    assert "42 % of the time" in of_every_training(waits)["waits for data"]
    broken = logged(train_losses=[1.0, math.nan])
    assert "initial_lr" in of_every_training(broken)["no finite loss"]
