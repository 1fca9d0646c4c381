"""What a VoCo pretraining logs, shows and warns of."""

import math
import re

import pytest
import torch
from planned_networks import planned_network

from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.methods.voco.method import VoCo
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.channels import Channels

pytestmark = pytest.mark.usefixtures("one_thread")

FACTS = PlanFacts((32, 32), 4, (1.0, 1.0), ((1, 1), (2, 2), (2, 2), (2, 2)), 1)
CONSTANT = 0.587


def method_of(words=(), **settings) -> VoCo:
    return VoCo(
        settings_for(VoCo, FACTS, {"embedding_size": 16, "num_epochs": 240, **settings}, words),
        FACTS,
    )


def logged(epochs: int, intra: float = 0.2, spread: float = 0.1) -> dict[str, list]:
    values = {
        "epoch_end_timestamps": list(range(epochs)),
        "lrs": [1e-3] * epochs,
        "val_intra": [intra] * epochs,
        "val_intra_of_constant": [CONSTANT] * epochs,
    }
    for level in range(4):
        values[f"val_feature_spread_level_{level}"] = [spread] * epochs
    return values


def test_a_loss_that_places_crops_is_not_warned_about():
    assert method_of().warnings(logged(100)) == {}


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        # Of a third of 240 epochs none, but the value itself tells after a few.
        (logged(12, CONSTANT), "the placing of crops on a plateau", r"constant answer \(0.587\)"),
        (logged(90, 0.45), "the placing of crops on a plateau", "not fallen for 80 epochs"),
        (logged(3, spread=1e-5), "collapse", "collapsed at level 0, 1, 2, 3"),
    ],
)
def test_what_goes_wrong_is_named_with_a_remedy(values, kind, words):
    found = method_of().warnings(values)
    assert list(found) == [kind]
    assert re.search(words, found[kind]) and '"initial_lr"' in found[kind]


def test_what_the_loss_leaves_out_is_not_warned_about():
    assert method_of(intra_weight=0.0).warnings(logged(90, CONSTANT)) == {}
    assert method_of().warnings({"epoch_end_timestamps": []}) == {}


def test_the_intra_term_is_summarised_relative_to_that_of_a_constant_similarity():
    means = {"intra": 0.3, "positive_of_constant": 0.4, "negative_of_constant": 0.2}
    found = method_of().summarised(means)
    assert found["intra_of_constant"] == pytest.approx(0.6)
    assert found["intra_relative"] == pytest.approx(0.5)
    # An epoch without any finite step.
    assert method_of().summarised({"loss": math.nan}) == {"loss": math.nan}


@pytest.mark.parametrize(
    ("words", "terms"),
    [((), {"intra", "inter", "regulariser"}), (("cvpr",), {"intra", "regulariser"})],
)
def test_terms_without_weight_are_no_terms(words, terms):
    shown = method_of(words).shown(4)
    assert set(shown.terms) == terms
    assert ("train_inter" in shown.log_names) == ("inter" in terms)


def test_a_chart_shows_the_parts_against_those_of_a_constant_similarity():
    chart = method_of().shown(4).charts[0]
    assert [line.name for line in chart.lines] == [
        "train_positive",
        "val_positive",
        "train_negative",
        "val_negative",
        "val_positive_of_constant",
        "val_negative_of_constant",
    ]
    assert [line.style for line in chart.lines[4:]] == ["dotted"] * 2


def test_chance_is_one_of_the_base_crops():
    by_chance = [
        line.constant
        for chart in method_of().shown(4).charts
        for line in chart.lines
        if line.label == "chance"
    ]
    assert by_chance == [pytest.approx(1 / 9)]


@pytest.mark.parametrize("words", [(), ("cvpr",)], ids=["tpami", "cvpr"])
def test_pictures_show_the_query_its_base_crops_and_both_tables(words):
    method = method_of(words, p_mirror=0.0)
    torch.manual_seed(0)
    network = method.build(planned_network()).eval()
    image = torch.randn(1, 60, 60, generator=torch.Generator().manual_seed(1))
    drawn = method.recipe().draw((60, 60), Channels.unmeasured(1), torch.Generator().manual_seed(2))
    made = drawn.prepared().make(image[(slice(None), *drawn.region.slices)])
    views = {name: values[:, None] for name, values in made.items()}
    with torch.no_grad():
        found = method.pictures(network, drawn, views)
    assert [column.title for column in found.columns] == [
        "query 1",
        "base crop of most overlap",
        "most similar base crop",
    ]
    assert found.box == drawn.queries[0].place.box
    true, predicted = found.matrices
    assert torch.equal(true.values, made["overlaps"])
    assert predicted.values.shape == true.values.shape == made["overlaps"].shape
    assert float(predicted.values.min()) >= 0 and float(predicted.values.max()) <= 1
    most = int(true.values[0].argmax())
    assert torch.equal(found.columns[0].image, made["queries"][0])
    assert torch.equal(found.columns[1].image, made["bases"][most])
    assert any(torch.equal(found.columns[2].image, base) for base in made["bases"])
    boxes = drawn.boxes
    assert list(boxes) == ["base crops", "queries"]
    # Tables and the source picture call them alike.
    assert found.box_names == {"base crops": true.columns, "queries": true.rows}
    assert {kind: len(names) for kind, names in found.box_names.items()} == {
        kind: len(of_kind) for kind, of_kind in boxes.items()
    }
    assert Box.union(*boxes["base crops"]).contains(Box.union(*boxes["queries"]))
