import math
from xml.etree import ElementTree

import pytest

from nnunetv2_pcrl.monitoring.charts import Curve, Plot
from nnunetv2_pcrl.monitoring.svg import HEIGHT, WIDTH, epoch_ticks, line_chart, nice_ticks
from nnunetv2_pcrl.monitoring.vocabulary import Chart


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-1.0, 0.3, [-1.0, -0.5, 0.0, 0.5]),
        (0.0, 1e-3, [0.0, 2e-4, 4e-4, 6e-4, 8e-4, 1e-3]),
        (3.0, 3.0, [1.0, 2.0, 3.0, 4.0, 5.0]),
    ],
)
def test_ticks_are_round_numbers_around_the_range(low, high, expected):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high
    assert 3 <= len(ticks) <= 8
    if low != high:
        assert ticks == pytest.approx(expected)


@pytest.mark.parametrize("epochs", [1, 2, 7, 8, 100, 240])
def test_first_and_last_epoch_are_named_and_few_others(epochs):
    ticks = epoch_ticks(epochs)
    assert ticks[0] == 0 and ticks[-1] == epochs - 1 and len(ticks) <= 8
    assert ticks == sorted(set(ticks))


def test_a_chart_is_valid_xml_inside_its_frame_and_names_its_values():
    values = (0.5, math.nan, -2.0)
    chart = Chart("a < b & c", (), text="What & why.", axis="<unit>")
    curves = (Curve("<me>", values, 0), Curve("mean", (1.0,) * 3, -1, "dotted"))
    root = ElementTree.fromstring(line_chart(Plot(chart, curves)))
    words = "".join(root.itertext())
    assert "What & why." in words and "<unit>" in words and "epoch" in words
    circles = list(root.iter("circle"))
    titles = [circle.find("title").text for circle in circles]
    assert titles == ["<me>, epoch 1: 0.5", "<me>, epoch 3: -2"]
    for circle in circles:
        assert 0 <= float(circle.get("cx")) <= WIDTH and 0 <= float(circle.get("cy")) <= HEIGHT
    heights = [float(circle.get("cy")) for circle in circles]
    assert heights[0] < heights[1]
