"""What the channels of a data set hold: units that every run measures alike, and copies."""

import numpy as np
import pytest
import torch

from nnunetv2_pcrl.views.channels import Channels, measure_channels


def noise(shape, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_units_are_those_inside_boxes_and_constant_channels_are_harmless(tmp_path, write_case):
    for number in range(4):
        image = noise((3, 8, 40, 40), number)
        image[0] *= 8
        # Images differ in their means, which no restoration has to tell.
        image[0] += 100 * number
        image[2] = 5.0
        write_case(tmp_path, f"case_{number}", image)
    names = [f"case_{number}" for number in range(4)]
    channels = measure_channels(tmp_path, names, (4, 20, 20), 3)
    assert channels.stds == (pytest.approx(8, rel=0.02), pytest.approx(1, rel=0.02), 1.0)
    assert channels.lows[1] < -2.3 and channels.highs[1] > 2.3
    assert channels.sources == (0, 1, 2)
    assert measure_channels(tmp_path, names[::-1], (4, 20, 20), 3) == channels


@pytest.mark.parametrize("box", [(16, 16), (4, 64, 64)])
def test_copies_name_the_first_channel_with_the_same_values(tmp_path, write_case, box):
    image = noise((4, 6, 32, 32))
    image[2] = image[1]
    image[3] = 0.0
    write_case(tmp_path, "case", image)
    channels = measure_channels(tmp_path, ["case"], box, 4)
    assert channels.sources == (0, 1, 1, 3)
    assert "copies: channel 2 of 1" in str(channels)


def test_cases_that_cannot_be_read_are_passed_over_and_without_any_units_are_1(
    tmp_path, write_case
):
    write_case(tmp_path, "good", 3 * noise((1, 4, 24, 24)))
    write_case(tmp_path, "bad", np.full((1, 4, 24, 24), np.nan, dtype=np.float32))
    found = measure_channels(tmp_path, ["bad", "gone", "good"], (16, 16), 1)
    assert found.stds == (pytest.approx(3, rel=0.05),)
    assert measure_channels(tmp_path, ["bad", "gone"], (16, 16), 1) == Channels.unmeasured(1)


def test_the_global_random_state_is_left_alone(tmp_path, write_case):
    write_case(tmp_path, "case", noise((1, 4, 24, 24)))
    state = torch.get_rng_state()
    measure_channels(tmp_path, ["case"], (16, 16), 1)
    assert torch.equal(torch.get_rng_state(), state)
