"""What a PCRLv2 pretraining logs and shows, by name."""

import re

import pytest
import torch
from planned_networks import GEOMETRIES, pretraining_network, random_images

from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings
from nnunetv2_pcrl.methods.pcrlv2.showing import pictures, shown, warnings
from nnunetv2_pcrl.monitoring.charts import PROBE, PROBE_PER_CLASS, plots
from nnunetv2_pcrl.monitoring.epoch_line import epoch_line
from nnunetv2_pcrl.views.boxes import Box

LOG_NAMES = [
    "train_restoration",
    "train_level_restoration",
    "train_global_comparison",
    "train_local_comparison",
    "train_target_variance",
    "train_z_std_level_0",
    "train_z_std_level_1",
    "train_feature_spread_level_0",
    "train_feature_spread_level_1",
    "val_restoration",
    "val_level_restoration",
    "val_global_comparison",
    "val_local_comparison",
    "val_target_variance",
    "val_z_std_level_0",
    "val_z_std_level_1",
    "val_feature_spread_level_0",
    "val_feature_spread_level_1",
    "val_cosine_matching_level_0",
    "val_cosine_matching_level_1",
    "val_cosine_other_level_0",
    "val_cosine_other_level_1",
    "val_retrieval_level_0",
    "val_retrieval_level_1",
    "val_effective_rank_level_0",
    "val_effective_rank_level_1",
    "val_restoration_error_level_0",
    "val_restoration_error_level_1",
    "val_restoration_error",
    "level_restoration_weight",
    "probe_dice",
    "probe_dice_per_class",
]
RESTORATION_TITLES = ["restoration error, squared", "restoration error / variance (1: the mean)"]
COMPARISON_TITLES = ["comparison (-1: views agree)"]
TITLES = [
    "total loss",
    "restoration error, squared",
    "comparison (-1: views agree)",
    "restoration error / variance (1: the mean)",
    "z_std (1: healthy, 0: collapse)",
    "local views that find their image",
    "cosine of two views",
    "effective rank of embeddings",
    "feature spread (0: collapse)",
    "probe (Dice-like, sampled voxels)",
    "schedules, relative to the first epoch",
    "gradient norm",
    "throughput [images/s]",
    "time per epoch [s]",
    "waiting for views, share of the time",
]


class Constant(torch.nn.Module):
    """Restores one value everywhere."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, features):
        return torch.full_like(features[:, :1], float(self.value))

    def in_intensities(self, restored):
        return restored


def settings(**overrides) -> PCRLv2Settings:
    sizes = {"global_size": (48,) * 3, "local_size": (24,) * 3}
    return PCRLv2Settings(**sizes, **{"batch_size": 16, **overrides})


def logged_by_a_run() -> dict[str, list]:
    of_every_run = ["train_losses", "val_losses", "lrs", "train_gradient_norm"]
    of_every_run += ["images_per_second", "data_wait_share"]
    logged = {name: [0.5, 0.25] for name in LOG_NAMES + of_every_run}
    return logged | {"epoch_start_timestamps": [0, 10], "epoch_end_timestamps": [9, 19]}


def test_the_names_of_what_is_logged_are_these():
    assert sorted([*shown(2, settings()).log_names, PROBE, PROBE_PER_CLASS]) == sorted(LOG_NAMES)


@pytest.mark.parametrize("left_out", ["", "restoration", "comparison"])
def test_the_titles_of_the_charts_are_these(left_out):
    weights = {f"{left_out}_weight": 0.0} if left_out else {}
    titles = [plot.title for plot in plots(logged_by_a_run(), shown(2, settings(**weights)))]
    expected = list(TITLES)
    if left_out == "restoration":
        expected = [title for title in TITLES if title not in RESTORATION_TITLES]
        expected[expected.index("schedules, relative to the first epoch")] = (
            "learning rate, relative to the first epoch"
        )
    if left_out == "comparison":
        expected = [title for title in TITLES if title not in COMPARISON_TITLES]
    assert titles == expected


def test_the_epochs_line_says_what_it_always_said():
    line = epoch_line(logged_by_a_run(), shown(2, settings()), 10)
    terms = "(restoration 0.2500, level 0.2500, global 0.2500, local 0.2500)"
    assert f"epoch 2/10: train_loss 0.2500 {terms} | val_loss 0.2500 {terms} | " in line
    assert (
        "restoration error 0.2500, z_std at least 0.2500, retrieval at best 25%, "
        "feature spread at least 0.2500" in line
    )


HEALTHY = {"feature_spread": 0.1, "effective_rank": 5.0, "retrieval": 0.5}


def values_of_a_run(epochs=10, error=0.4, comparison=-0.8, **per_level) -> dict[str, list]:
    values = {
        "epoch_end_timestamps": list(range(epochs)),
        "val_restoration_error": [error] * epochs,
    }
    values["val_global_comparison"] = [comparison] * epochs
    for name, healthy in HEALTHY.items():
        for level in range(3):
            value = per_level.get(name, {}).get(level, healthy)
            values[f"val_{name}_level_{level}"] = [value] * epochs
    return values


def test_a_healthy_run_is_not_warned_about():
    assert warnings(values_of_a_run(), 3, settings()) == {}


@pytest.mark.parametrize(
    ("values", "batch_size", "kind", "words"),
    [
        ({"feature_spread": {1: 1e-4}}, 16, "collapse", 'level 1: .*"batch_size"'),
        ({"effective_rank": {0: 1.2, 2: 1.9}}, 16, "narrow", 'level 0, 2 .*"initial_lr"'),
        ({}, 4, "small batch", 'batch of 4 .*Set "batch_size"'),
        ({"error": 0.97}, 16, "stuck at the mean", 'is 0.97 of .*"initial_lr"'),
        ({"error": 1.3}, 16, "worse than the mean", 'is 1.30 of .*"initial_lr"'),
        ({"retrieval": dict.fromkeys(range(3), 0.06)}, 16, "comparison at chance", '"batch_size"'),
        ({"epochs": 90, "comparison": -0.1}, 16, "the comparison on a plateau", "for 80 epochs"),
        ({"epochs": 90, "error": 0.8}, 16, "the restoration on a plateau", "for 80 epochs"),
    ],
)
def test_what_goes_wrong_is_named_with_a_remedy(values, batch_size, kind, words):
    found = warnings(values_of_a_run(**values), 3, settings(batch_size=batch_size))
    assert list(found) == [kind]
    assert re.search(words, found[kind])


def test_what_the_loss_leaves_out_is_not_warned_about():
    bad = values_of_a_run(error=1.3, feature_spread={0: 0.0}, effective_rank={1: 1.0})
    compared = {"collapse", "narrow", "small batch"}
    assert set(warnings(bad, 3, settings(batch_size=4))) == {*compared, "worse than the mean"}
    restoration = settings(batch_size=4, comparison_weight=0.0)
    assert list(warnings(bad, 3, restoration)) == ["worse than the mean"]
    comparison = settings(batch_size=4, restoration_weight=0.0)
    assert set(warnings(bad, 3, comparison)) == compared


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_pictures_are_restorations_of_every_level_with_their_errors(geometry):
    network = pretraining_network(geometry=geometry).eval()
    size = GEOMETRIES[geometry].global_size
    target = random_images(1, 1, *size)
    box = Box((0,) * len(size), tuple(size))
    made = pictures(network, box, target + 1, target)
    titles = [column.title for column in made.columns]
    levels = [f"from level {level}" for level in range(network.num_levels)]
    assert titles == ["input", "target", "restoration", *levels]
    assert made.columns[made.window_of].title == "target" and made.box == box
    assert {tuple(column.image.shape) for column in made.columns} == {(1, *size)}
    full = made.columns[2].image
    torch.testing.assert_close(made.difference, (full - target[0]).abs())
    expected = (full - target[0]).square().mean() / target.var(unbiased=False)
    assert made.columns[2].errors == pytest.approx((float(expected),), rel=1e-4)
    # The mean has an error of one variance.
    network.restoration = Constant(target.mean())
    mean = pictures(network, box, target, target).columns[2]
    assert mean.errors == pytest.approx((1.0,), rel=1e-4)
