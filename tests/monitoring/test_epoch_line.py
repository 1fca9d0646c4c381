import math

import pytest
from watched_method import SHOWN, logged

from nnunetv2_pcrl.monitoring.epoch_line import epoch_line, hours_and_minutes


def test_a_line_has_losses_terms_states_and_speed():
    line = epoch_line(logged(), SHOWN, 12)
    assert line == (
        "epoch 2/12: train_loss 0.9000 (guess 0.8000) | val_loss 1.0000 (guess 0.9000) | "
        "state at least 10.00 | 4.00 images/s, waiting for views 10 %, 9.0 s, 2 min left"
    )


def test_the_probe_is_in_the_line_of_its_epoch_and_a_missing_state_is_left_out():
    values = logged(probe_dice=[math.nan, 0.25], val_state=[9.5, math.nan])
    line = epoch_line(values, SHOWN, 12)
    assert "| probe 0.2500 |" in line and "state" not in line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 min"), (59, "< 1 min"), (61, "2 min"), (3600, "1 h 00 min"), (7440, "2 h 04 min")],
)
def test_times_are_words(seconds, text):
    assert hours_and_minutes(seconds) == text
