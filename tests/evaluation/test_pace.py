import math

from nnunetv2_pcrl.evaluation.pace import Pace, pace

TWIN = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.5, 0.6, 0.7]


def test_a_twin_is_where_the_mean_of_its_last_epochs_is():
    # It ends at 0.6, the mean of three; so it is there in its last epoch, others are earlier.
    assert pace([(TWIN, TWIN)]) == Pace(9, 9, 1, 1)
    assert pace([([0.6] * 9, TWIN)]) == Pace(3, 9, 1, 1)
    assert pace([([0.1, 0.5, 0.6, 0.7, 0.7], TWIN)]) == Pace(4, 5, 1, 1)
    assert str(pace([([0.6] * 9, TWIN)])) == "3 of 9 (1 of 1 runs)"


def test_one_epoch_that_stands_out_does_not_count():
    assert pace([([0.1, 0.1, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], TWIN)]) == Pace(None, 9, 0, 1)


def test_pairs_are_averaged_before_they_are_read():
    slow, fast = [0.3] * 9, [0.9] * 9
    # 0.6 on average, and one of both.
    assert pace([(slow, TWIN), (fast, TWIN)]) == Pace(3, 9, 1, 2)
    found = pace([(slow, TWIN), (slow, TWIN), (fast, TWIN)])
    assert found == Pace(None, 9, 1, 3)
    assert str(found) == "not reached (1 of 3 runs)"


def test_a_long_training_is_read_by_a_twentieth_of_it():
    twin = [epoch / 100 for epoch in range(100)]
    # Ends at the mean of 0.95 to 0.99, which the mean of epochs 96 to 100 is the first to have.
    assert pace([(twin, twin)]) == Pace(100, 100, 1, 1)
    assert pace([([value + 0.1 for value in twin], twin)]) == Pace(90, 100, 1, 1)


def test_curves_that_cannot_be_read_are_left_out():
    assert pace([]) is None
    assert pace([([0.6] * 2, TWIN), ([], TWIN), ([0.6] * 9, [math.nan] * 9)]) is None
    assert pace([([0.6] * 2, TWIN), ([0.6] * 9, TWIN)]) == Pace(3, 9, 1, 1)
