import io
import sys

import pytest

from nnunetv2_pcrl.monitoring.progress_bar import EpochBar
from nnunetv2_pcrl.monitoring.vocabulary import Series

SERIES = (Series("global_comparison", short="global", is_term=True), Series("z_std_level_0"))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, monkeypatch, is_wanted=True) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    bar = EpochBar("Epoch 3/240", 4, 16, is_wanted, SERIES)
    for loss in (1.0, 2.0, 3.0):
        numbers = {"loss": loss, "global_comparison": -0.5, "z_std_level_0": 1.0, "new_term": 7.0}
        bar.step({**numbers, "gradient_norm": 9.0}, 1e9)
    bar.step({}, 1e9)
    bar._bar.refresh()
    bar.close()
    return stream.getvalue()


def test_a_terminal_shows_terms_speed_and_waiting(monkeypatch):
    text = shown(Terminal(), monkeypatch)
    for words in ("Epoch 3/240", "64/64", "image", "loss 2.000", "global -0.500", "waiting 100 %"):
        assert words in text
    # What nobody described is shown rather than dropped.
    assert "new_term 7.000" in text
    assert "z_std" not in text and "gradient_norm" not in text


@pytest.mark.parametrize(("stream", "is_wanted"), [(io.StringIO(), True), (Terminal(), False)])
def test_there_is_no_bar_in_a_file_or_in_other_processes(monkeypatch, stream, is_wanted):
    assert shown(stream, monkeypatch, is_wanted) == ""
