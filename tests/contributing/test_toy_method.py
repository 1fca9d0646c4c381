"""The toy method of docs/contributing keeps the contract of all methods, and can be trained."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from method_cases import facts_of, method_on
from planned_networks import random_images
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.methods import registry
from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.training import pretrain_trainer
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.weights.reading import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]


def loaded(path: Path):
    """A file outside of all packages as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


toy = loaded(ROOT / "docs" / "contributing" / "toy_method.py")
contract = loaded(ROOT / "tests" / "methods" / "test_contract.py")
GEOMETRIES = ("2d", "3d", "anisotropic")


def test_the_page_shows_the_toy():
    page = (ROOT / "docs" / "contributing" / "add_a_method.md").read_text(encoding="utf-8")
    # A formatter of Python takes the line for code where its block is named python.
    assert '\n``` { .python }\n--8<-- "docs/contributing/toy_method.py"\n```\n' in page


@pytest.fixture
def registered(monkeypatch):
    """The toy in the list of all methods."""
    monkeypatch.setattr(registry, "METHODS", (*registry.METHODS, toy.Rotation))
    sections = (*registry.METHOD_SECTIONS, toy.Rotation.about.section)
    monkeypatch.setattr(pretrain_trainer, "METHOD_SECTIONS", sections)
    return toy.Rotation


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(
    "promise",
    [
        contract.test_the_step_has_the_gradient_of_everything_in_one_graph,
        contract.test_views_are_drawn_alike_by_equal_generators_and_leave_the_image_as_it_is,
        contract.test_images_smaller_than_the_patch_give_views_too,
        contract.test_pictures_have_the_size_of_the_view_and_all_channels,
    ],
)
def test_the_toy_keeps_what_every_method_keeps_in_every_geometry(promise, geometry):
    promise(toy.Rotation, geometry)


@pytest.mark.parametrize(
    "promise",
    [
        contract.test_every_parameter_gets_gradient_or_is_a_teachers_or_without_effect,
        contract.test_mixed_precision_is_finite_near_single_precision_and_a_scaler_recovers,
        contract.test_all_numbers_of_a_step_are_logged_and_every_chart_shows_logged_ones,
        contract.test_trainers_of_the_method_are_found_by_name_with_its_variants,
        contract.test_settings_and_citations_are_documented,
    ],
)
def test_the_toy_keeps_what_every_method_keeps(promise, registered):
    promise(registered)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_view_is_the_turned_image(geometry):
    facts = facts_of(geometry)
    method = method_on(toy.Rotation, facts)
    size = method.settings.view_size
    image = random_images(1, *size)
    for seed in range(6):
        drawn = method.recipe().draw(
            size, Channels.unmeasured(1), torch.Generator().manual_seed(seed)
        )
        made = drawn.prepared().make(image)
        expected = torch.rot90(image, int(made["answer"]), (-2, -1))
        torch.testing.assert_close(made["turned"][0], expected, rtol=0, atol=1e-5)


def test_a_view_that_is_no_square_is_refused():
    with pytest.raises(ValueError, match=r'"view_size" \[32, 16\] cannot be turned by a quarter'):
        method_on(toy.Rotation, facts_of("2d"), view_size=[32, 16])


@pytest.mark.slow
def test_the_toy_is_pretrained_by_its_trainers_name(registered, nnunet_folders, no_workers):
    settings = {
        "batch_size": 4,
        "num_epochs": 1,
        "num_iterations_per_epoch": 1,
        "num_val_iterations_per_epoch": 1,
        "probe_every": 0,
    }
    plans = {"2d": configuration(2, nnunetv2_pcrl={"rotation": settings})}
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", plans)
    for number in range(4):
        dataset.add_case("2d", f"case_{number}", smooth_image((1, 3, 24, 22), number))
    trainer = dataset.trainer(trainer_named("RotationPretrainTrainer_halfTurns"), "2d")
    trainer.run_training()
    content = read_weights(Path(trainer.output_folder) / "pretrained_weights.pth")
    assert (content["method"], content["variants"]) == ("Rotation", ["halfTurns"])
    assert content["decoder"] == "none"
    assert (Path(trainer.output_folder) / "pictures.png").is_file()
