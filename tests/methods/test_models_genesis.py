"""Models Genesis: what is distorted, what must be restored, and that it learns to."""

from pathlib import Path

import pytest
import torch
from method_cases import case_of, facts_of, image_of, method_on
from method_runs import assert_equal_states, resumed, small_dataset, trained
from method_training import numbers_of_training

from nnunetv2_pcrl.methods.models_genesis import ModelsGenesis, ModelsGenesisObjective
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.seeding import seeded_generator
from nnunetv2_pcrl.weights.reading import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

GEOMETRIES = ("2d", "3d", "anisotropic")
UNTURNED = {"rotation_degrees": 0.0, "deformation_scale": 0.0}
CLEAN = {"p_shuffling": 1e-9, "p_curve": 0.0, "p_painting": 0.0}


def method_of(geometry: str, num_channels: int = 1, **settings) -> ModelsGenesis:
    return method_on(ModelsGenesis, facts_of(geometry, num_channels), **settings)


def views_of(method: ModelsGenesis, image: torch.Tensor, seed: int = 0) -> dict:
    drawn = method.recipe().draw(
        image.shape[1:], Channels.unmeasured(len(image)), seeded_generator(seed)
    )
    return drawn.prepared().make(image[(slice(None), *drawn.region.slices)])


# Views


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_views_are_the_clean_and_the_distorted_patch_of_all_channels(geometry):
    method = method_of(geometry, 3, p_painting=1.0)
    image = image_of(method.facts, 1)
    before = image.clone()
    views = views_of(method, image)
    shape = (1, 3, *method.facts.patch_size)
    assert views["target"].shape == views["corrupted"].shape == shape
    assert torch.equal(image, before)
    for channel in range(3):
        assert not torch.equal(views["target"][0, channel], views["corrupted"][0, channel])
    storages = {v.untyped_storage().data_ptr() for v in (image, *views.values())}
    assert len(storages) == 3


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_without_distortion_input_and_target_are_equal_and_flipped_alike(geometry):
    method = method_of(geometry, **CLEAN, **UNTURNED)
    image = image_of(method.facts, 1)
    flipped = 0
    for seed in range(6):
        views = views_of(method, image, seed)
        assert torch.equal(views["target"], views["corrupted"])
        drawn = method.recipe().draw(
            image.shape[1:], Channels.unmeasured(len(image)), seeded_generator(seed)
        )
        crop = image[(slice(None), *drawn.place.box.slices)]
        axes = [1 + a for a, flip in enumerate(drawn.place.deformation.flips) if flip]
        torch.testing.assert_close(views["target"][0], crop.flip(axes), rtol=0, atol=1e-4)
        flipped += bool(axes)
    assert flipped > 0


def test_shuffling_alone_keeps_the_range_of_values_and_changes_all_channels_alike():
    settings = {"p_shuffling": 1.0, "p_curve": 0.0, "p_painting": 0.0}
    method = method_of("2d", 2, **settings)
    image = image_of(method.facts, 3)
    image[1] = 5 - image[0]
    views = views_of(method, image)
    clean, shuffled = views["target"][0], views["corrupted"][0]
    torch.testing.assert_close(shuffled[1], 5 - shuffled[0], rtol=0, atol=1e-5)
    assert set(shuffled[0].flatten().tolist()) <= set(clean[0].flatten().tolist())
    assert not torch.equal(clean, shuffled)


# Loss


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_all_voxels_and_channels_count_alike(geometry):
    case = case_of(ModelsGenesis, geometry, num_channels=2)
    network, batch = case.network, case.batch
    pyramid = network.backbone(batch["corrupted"][0])
    numbers = ModelsGenesisObjective().of_views(network, "patch", pyramid, batch)
    restored = network.restoration(pyramid[-1])
    torch.testing.assert_close(
        numbers["restoration"], (restored - batch["target"][0]).square().mean()
    )
    torch.testing.assert_close(
        numbers["input_error"], (batch["corrupted"] - batch["target"]).square().mean()
    )


@pytest.mark.slow
def test_it_learns_to_restore_better_than_the_mean_and_than_the_distorted_patch():
    case = case_of(ModelsGenesis, "2d", initial_lr=0.3, momentum=0.9)
    last = numbers_of_training(case.method, case.network, case.batch, 40)[-1]
    assert last["restoration"] < 0.5 * min(last["target_variance"], last["input_error"])


# Settings and what is shown


def test_the_plan_gives_patch_and_batch():
    facts = facts_of("anisotropic")
    settings = ModelsGenesis(settings_for(ModelsGenesis, facts, {}), facts).settings
    assert (settings.view_size, settings.batch_size) == ((8, 16, 16), 4)
    assert (settings.initial_lr, settings.momentum) == (1e-2, 0.99)
    authors = (0.5, 0.85, 0.9, 0.9, 0.8)
    chances = settings.chances
    assert (
        chances.p_shuffling,
        chances.shuffled_part,
        chances.p_curve,
        chances.p_painting,
        chances.p_outer,
    ) == authors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"view_size": [15, 24]}, r'"view_size" \[15, 24\] must be a multiple'),
        ({"p_curve": 1.5}, '"p_curve" must be less than or equal to 1, got 1.5'),
        (
            {"p_shuffling": 0.0, "p_curve": 0.0, "p_painting": 0.0},
            "there is nothing to restore. Set at least one",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        method_of("2d", **settings)


def test_the_error_is_told_in_units_of_the_variance():
    means = method_of("2d").summarised({"restoration": 0.5, "target_variance": 2.0})
    assert means["restoration_error"] == 0.25


def test_a_restoration_at_the_mean_is_warned_of():
    method = method_of("2d")
    stuck = {"val_restoration_error": [1.0] * 12, "lrs": [0.01] * 12}
    (text,) = method.warnings({**stuck, "epoch_end_timestamps": [1.0] * 12}).values()
    assert "hardly better than restoring the mean" in text and '"p_painting"' in text
    well = {**stuck, "val_restoration_error": [1 - 0.05 * e for e in range(12)]}
    assert not method.warnings({**well, "epoch_end_timestamps": [1.0] * 12})


def test_pictures_show_input_target_and_restoration_with_the_error_of_every_channel():
    case = case_of(ModelsGenesis, "2d", num_channels=2)
    image = image_of(case.method.facts, 0)
    drawn = case.method.recipe().draw(
        image.shape[1:], Channels.unmeasured(len(image)), seeded_generator(0)
    )
    made = drawn.prepared().make(image[(slice(None), *drawn.region.slices)])
    views = {name: values[:, None].double() for name, values in made.items()}
    with torch.no_grad():
        pictures = case.method.pictures(case.network.eval(), drawn, views)
    assert [c.title for c in pictures.columns] == ["input", "target", "restoration"]
    target, restored = (pictures.columns[n].image for n in (1, 2))
    errors = (restored - target).square().flatten(1).mean(1)
    variances = target.flatten(1).var(1, unbiased=False)
    assert pictures.columns[2].errors == pytest.approx((errors / variances).tolist(), rel=1e-4)


# Through the trainer


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", ["3d_fullres", "2d"])
def test_a_training_leaves_a_file_with_encoder_and_decoder_and_goes_on_bit_for_bit(
    nnunet_folders, monkeypatch, name
):
    trainer_class = trainer_named("ModelsGenesisPretrainTrainer")
    dataset = small_dataset(nnunet_folders, ModelsGenesis)
    whole = trained(dataset, trainer_class, name)
    folder = Path(whole.output_folder)
    content = read_weights(folder / "pretrained_weights.pth")
    assert (content["method"], content["decoder"]) == ("ModelsGenesis", "skips")
    assert "Models Genesis" in str(content["citations"])
    assert_equal_states(whole, resumed(dataset, trainer_class, name, monkeypatch))
