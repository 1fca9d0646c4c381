import pytest

from nnunetv2_pcrl.monitoring.case_names import shortened
from nnunetv2_pcrl.monitoring.progress_figure import spread


def test_labels_beside_curves_keep_their_distance_and_stay_on_the_chart():
    assert spread([0.2, 0.8], 0.1) == [0.2, 0.8]
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.5, 0.6, 0.7])
    assert spread([0.98, 1.0], 0.1) == pytest.approx([0.9, 1.0])
    crowded = spread([0.5] * 21, 0.1)
    assert crowded[0] == pytest.approx(0, abs=1e-9) and crowded[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["liver_0", "liver_1"], ["liver_0", "liver_1"]),
        (["BraTS2021_00000_a", "short"], ["BraTS…00_a", "short"]),
        # They differ in what would be left out.
        (["scan_A_of_the_same_day", "scan_B_of_the_same_day"], ["sca…A…_day", "sca…B…_day"]),
    ],
)
def test_shortened_names_stay_different(names, expected):
    short = shortened(names, 10)
    assert short == expected and max(map(len, short)) <= 10


def test_names_that_differ_nowhere_near_an_end_are_numbered():
    names = [f"{'x' * 30}{middle}{'y' * 30}" for middle in ("1" * 20 + "a", "1" * 20 + "b")]
    short = shortened([*names, "x" * 81], 16)
    assert len(set(short)) == 3 and max(map(len, short)) <= 16
