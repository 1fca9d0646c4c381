"""What every comparison shows: the same charts for embeddings of all levels and of each."""

import pytest

from nnunetv2_pcrl.monitoring.telling_apart import TellingApart, Words
from nnunetv2_pcrl.monitoring.vocabulary import Shown


@pytest.mark.parametrize("by_level", [False, True])
def test_all_that_is_drawn_is_logged_and_all_that_is_logged_is_drawn(by_level):
    state = TellingApart(3, candidates=4, by_level=by_level)
    logged = set(Shown(series=state.series).log_names)
    drawn = {line.name for chart in state.charts for line in chart.lines if line.name}
    assert drawn == logged
    assert {name for card in state.cards for name in card.names} <= logged
    assert len(state.spreads) == 3 and len(state.logged_as("retrieval")) == (3 if by_level else 1)


def test_levels_have_their_colours_and_others_are_dashed():
    chart = TellingApart(2, candidates=4, by_level=True).charts[1]
    lines = [(line.label, line.colour, line.style) for line in chart.lines]
    assert lines == [
        ("level 0", 0, "solid"),
        ("level 1", 1, "solid"),
        ("level 0, different images", 0, "dashed"),
        ("level 1, different images", 1, "dashed"),
    ]
    plain = TellingApart(2, candidates=4).charts[1]
    assert [line.label for line in plain.lines] == ["one image", "different images"]


def test_chance_is_one_of_the_candidates():
    (*_, chance) = TellingApart(1, candidates=9).charts[0].lines
    assert chance.label == "chance" and chance.constant == pytest.approx(1 / 9)


def test_titles_and_texts_say_what_is_told_apart():
    state = TellingApart(2, 9, words=Words(finders="queries", things="crops"), share="placed")
    assert state.charts[0].title == "queries" and state.cards[0].short == "placed"
    assert "between crops" in state.charts[-1].text and "crops apart" in state.charts[1].text


def logged(retrieval: float, spread: float) -> dict:
    values = {"epoch_end_timestamps": [0.0] * 12, "val_retrieval": [retrieval] * 12}
    return values | {f"val_feature_spread_level_{level}": [spread] * 12 for level in range(2)}


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        (logged(0.8, 0.1), set()),
        (logged(0.1, 0.1), {"comparison at chance"}),
        (logged(0.8, 0.0), {"collapse"}),
    ],
)
def test_chance_and_collapse_are_warned_of(values, kinds):
    found = TellingApart(2, candidates=8).warnings(values, "Remedy.")
    assert set(found) == kinds and all(text.endswith("Remedy.") for text in found.values())
