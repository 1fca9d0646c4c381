"""Input channels: who gets whose weight, and that equal channels are answered to as before."""

import pytest
import torch
from planned_networks import random_images

from nnunetv2_pcrl.weights.channels import (
    InputChannels,
    channel_names_of,
    channel_shares,
    fit_input_channels,
    ordered_names,
)

MR = ("T1", "T1ce", "T2", "FLAIR")
half, third = 1 / 2, 1 / 3
# Names in the file, names in the network, expected shares [network, file].
CASES = {
    "1 to 4 repeats": (1, 4, [[0.25]] * 4),
    "4 to 1 sums": (4, 1, [[1, 1, 1, 1]]),
    "equal numbers stay": (2, 2, [[1, 0], [0, 1]]),
    "2 to 4 goes round": (2, 4, [[half, 0], [0, half], [half, 0], [0, half]]),
    "2 to 3 goes round": (2, 3, [[half, 0], [0, 1], [half, 0]]),
    "3 to 2 goes round": (3, 2, [[1, 0, 1], [0, 1, 0]]),
    "another order": (("a", "b"), ("B", " a"), [[0, 1], [1, 0]]),
    "names left over in the file": (MR, ("FLAIR", "T1"), [[0, 1, 0, 1], [1, 0, 1, 0]]),
    "names left over in the network": (
        ("FLAIR", "T1"),
        MR,
        [[0, half], [half, 0], [0, half], [half, 0]],
    ),
    "some names in common": (("CT", "T1"), ("T1", "PET"), [[0, 1], [1, 0]]),
    "no names in common": (("CT", "PET"), ("T1", "T2"), [[1, 0], [0, 1]]),
    "another name takes what is left over": (("T1", "CT"), ("T1", "PET"), [[1, 0], [0, 1]]),
    "a name that occurs twice": (("a", "a"), ("b", "a"), [[1, 0], [0, 1]]),
    "one name for one channel of four": (("T2",), MR, [[0.25]] * 4),
    "names of other channels": (("a", "b", "c"), 2, [[1, 0, 1], [0, 1, 0]]),
}


def count_and_names(side):
    return (side, None) if isinstance(side, int) else (len(side), side)


@pytest.mark.parametrize(("file", "network", "expected"), CASES.values(), ids=CASES)
def test_shares_are_as_derived_by_hand(file, network, expected):
    (num_file, file_names), (num_network, network_names) = map(count_and_names, (file, network))
    shares, _ = channel_shares(num_file, num_network, InputChannels(file_names, network_names))
    assert torch.allclose(shares, torch.tensor(expected, dtype=shares.dtype))


@pytest.mark.parametrize("num_file", [1, 2, 3, 4])
@pytest.mark.parametrize("num_network", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 3, 3)])
def test_an_image_with_equal_channels_gets_the_response_that_it_had(num_file, num_network, kernel):
    weight = random_images(5, num_file, *kernel)
    fitted, _ = fit_input_channels(weight, num_network, InputChannels())
    assert fitted.shape == (5, num_network, *kernel)
    torch.testing.assert_close(fitted.sum(1), weight.sum(1))


def test_extra_channels_of_a_cascade_start_at_zero():
    weight = random_images(5, 2, 3, 3, 3)
    fitted, how = fit_input_channels(weight, 5, InputChannels(num_extra=3))
    assert torch.equal(fitted[:, :2], weight)
    assert not fitted[:, 2:].any()
    assert how == "3 extra input channels at zero"


def test_it_says_how_channels_were_mapped_and_nothing_if_they_were_not():
    def how(*arguments):
        return channel_shares(*arguments)[1]

    assert how(1, 4, InputChannels()) == "input channels 1 -> 4, cyclic"
    assert how(4, 2, InputChannels(MR, ("T1", "T2"))) == "input channels 4 -> 2, by name"
    assert how(2, 2, InputChannels(("a", "b"), ("c", "d"))) == ""


def test_names_come_in_the_order_of_the_channels():
    assert channel_names_of({"channel_names": {"1": "T2", "0": "T1"}}) == ("T1", "T2")
    assert channel_names_of({"modality": {"0": "CT"}}) == ("CT",)
    assert ordered_names({"10": "c", "0": "a", "9": "b"}) == ("a", "b", "c")
    assert ordered_names({}) is None and ordered_names(None) is None
