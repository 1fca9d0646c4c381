import errno
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl import trainers
from nnunetv2_pcrl.trainers import PCRLv2PretrainTrainer
from nnunetv2_pcrl.trainers import trainer_named as variant
from nnunetv2_pcrl.training.broken_steps import MOST_IN_A_ROW, MOST_IN_A_ROW_SCALED
from nnunetv2_pcrl.training.saved_run import SavedRun
from nnunetv2_pcrl.weights.reading import read_weights

# The run that several tests look at is made before, with pictures.
pytestmark = pytest.mark.usefixtures("no_pictures")

SETTINGS = {
    "batch_size": 4,
    "num_epochs": 2,
    "num_iterations_per_epoch": 2,
    "num_val_iterations_per_epoch": 1,
    "num_local": 2,
    "initial_lr": 0.01,
    # What people see is tested in tests/monitoring.
    "pictures_every": 0,
    "probe_every": 0,
}


@pytest.fixture
def dataset(nnunet_folders):
    """Six one-channel cases with a 3D and a 2D configuration."""
    return make_dataset(nnunet_folders)


def make_dataset(root: Path, num_cases=6, shape=(1, 20, 22, 18), settings=None, **changes):
    section = {**SETTINGS, **(settings or {})}
    configurations = {
        "3d_fullres": configuration(3, nnunetv2_pcrl={"pcrlv2": section}, **changes),
        "2d": configuration(2, nnunetv2_pcrl={"pcrlv2": section}),
    }
    prepared = PreparedDataset(root / "nnUNet_preprocessed", configurations, shape[0])
    for number in range(num_cases):
        image = smooth_image(shape, number)
        for name in configurations:
            prepared.add_case(name, f"case_{number}", image)
    return prepared


def log_text(trainer) -> str:
    return "".join(p.read_text() for p in Path(trainer.output_folder).glob("training_log*.txt"))


def weights_of(trainer) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in trainer.network.state_dict().items()}


@pytest.fixture(scope="module", params=[pytest.param("3d_fullres", marks=pytest.mark.slow), "2d"])
def finished(request, tmp_path_factory):
    """A pretraining of two epochs on cases whose label files cannot be read; several tests look."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            patch.setenv(name, str(root / name))
        patch.setenv("nnUNet_n_proc_DA", "0")
        dataset = make_dataset(root)
        for file in dataset.data_folder(request.param).glob("*_seg.b2nd"):
            file.write_bytes(b"not a label")
        trainer = dataset.trainer(PCRLv2PretrainTrainer, request.param)
        trainer.run_training()
        trainer.perform_actual_validation()
        yield trainer


def test_a_run_leaves_checkpoints_portable_weights_a_log_and_a_picture(finished):
    trainer = finished
    folder = Path(trainer.output_folder)
    for file in ("checkpoint_final.pth", "checkpoint_best.pth", "progress.png"):
        assert (folder / file).stat().st_size > 0
    assert not list(folder.glob("validation*"))
    content = read_weights(folder / "pretrained_weights.pth")
    assert content["epochs_done"] == content["num_epochs"] == 2
    text = log_text(trainer)
    for words in (
        "Settings: {'batch_size': 4",
        "epoch 2/2: train_loss",
        "z_std at least",
        "feature spread at least",
        "Current learning rate",
        "-tr PCRLv2FinetuneTrainer",
    ):
        assert words in text


@pytest.mark.slow
def test_channels_of_the_image_are_channels_of_the_restoration(nnunet_folders):
    dataset = make_dataset(nnunet_folders, shape=(4, 18, 18, 18))
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    trainer.run_training()
    assert trainer.network.restoration.conv.out_channels == 4
    content = read_weights(Path(trainer.output_folder) / "pretrained_weights.pth")
    assert content["nnssl_adaptation_plan"]["pretrain_num_input_channels"] == 4


@pytest.mark.slow
def test_anisotropic_strides_and_few_slices_train(nnunet_folders):
    changes = {"patch_size": [8, 32, 32], "spacing": [5.0, 0.8, 0.8]}
    dataset = make_dataset(nnunet_folders, shape=(1, 6, 40, 44), **changes)
    kwargs = dataset.plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    kwargs["strides"] = [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
    kwargs["kernel_sizes"] = [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    assert trainer.settings.global_size == (6, 24, 24)
    trainer.run_training()
    assert np.isfinite(trainer.logger.get_value("val_losses", step=None)).all()


@pytest.mark.slow
def test_residual_encoder_plans_train(nnunet_folders):
    dataset = make_dataset(nnunet_folders)
    dataset.plans["configurations"]["3d_fullres"] = configuration(
        3, "ResidualEncoderUNet", nnunetv2_pcrl={"pcrlv2": SETTINGS}
    )
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    trainer.run_training()
    assert "encoder.stem.convs.0.conv.weight" in trainer.portable_weights()[0]


def test_label_files_are_never_read(finished):
    folder = Path(finished.preprocessed_dataset_folder)
    assert {file.read_bytes() for file in folder.glob("*_seg.b2nd")} == {b"not a label"}
    assert finished.current_epoch == 2


def test_a_resumed_run_equals_an_uninterrupted_one(dataset, monkeypatch):
    whole = dataset.trainer(PCRLv2PretrainTrainer, "2d", fold=0)
    whole.run_training()

    first = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    first.save_every = 1
    first.fold = 0  # the same split in another folder
    start_epoch = first.on_epoch_start

    def stop_before_the_second_epoch():
        if first.current_epoch == 1:
            raise StopIteration
        start_epoch()

    monkeypatch.setattr(first, "on_epoch_start", stop_before_the_second_epoch)
    with pytest.raises(StopIteration):
        first.run_training()
    second = dataset.trainer(PCRLv2PretrainTrainer, "2d", resume=True)
    second.fold = 0
    second.load_checkpoint(str(Path(second.output_folder) / "checkpoint_latest.pth"))
    assert second.current_epoch == 1
    second.run_training()

    for key, value in weights_of(whole).items():
        assert torch.equal(value, second.network.state_dict()[key]), key
    for key in ("train_losses", "val_losses", "lrs", "val_z_std_level_0"):
        assert second.logger.get_value(key, None) == whole.logger.get_value(key, None)


@pytest.mark.slow
def test_equal_seeds_give_equal_runs_and_other_seeds_do_not(nnunet_folders):
    runs = []
    for seed in (1, 1, 2):
        dataset = make_dataset(nnunet_folders, settings={"seed": seed, "num_epochs": 1})
        trainer = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
        trainer.run_training()
        runs.append(weights_of(trainer))
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    assert any(not torch.equal(runs[0][key], runs[2][key]) for key in runs[0])


@pytest.mark.slow
def test_validation_sees_the_same_views_and_levels_in_every_epoch(nnunet_folders):
    dataset = make_dataset(nnunet_folders, settings={"initial_lr": 0.0, "num_epochs": 3})
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    trainer.run_training()
    losses = trainer.logger.get_value("val_losses", None)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6) == pytest.approx(losses[2], rel=1e-6)
    training = trainer.logger.get_value("train_restoration", None)
    assert len(set(training)) == 3


def test_best_is_the_lowest_validation_loss(finished):
    trainer = finished
    best = torch.load(Path(trainer.output_folder) / "checkpoint_best.pth", weights_only=True)
    losses = trainer.logger.get_value("val_losses", None)
    assert best["_best_ema"] == min(losses)
    assert best["current_epoch"] == int(np.argmin(losses)) + 1


def test_learning_rate_and_beta_follow_half_a_cosine_of_the_run(nnunet_folders):
    dataset = make_dataset(
        nnunet_folders, settings={"num_epochs": 4, "num_iterations_per_epoch": 1}
    )
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    trainer.run_training()
    expected = [0.5 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
    np.testing.assert_allclose(trainer.logger.get_value("level_restoration_weight", None), expected)
    np.testing.assert_allclose(trainer.logger.get_value("lrs", None), np.multiply(0.01, expected))
    group = trainer.optimizer.param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, False, 1e-4)


def test_checkpoints_hold_what_nnunet_stores_and_nothing_that_needs_unpickling(finished):
    trainer = finished
    stored = {}
    original = torch.save
    torch.save = lambda content, file: stored.update(content)
    try:
        super(SavedRun, trainer).save_checkpoint("nowhere")
    finally:
        torch.save = original
    path = Path(trainer.output_folder) / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=True)
    assert set(stored) <= set(checkpoint)
    assert checkpoint["settings"] == trainer.settings.as_plain()


def test_an_encoder_is_stored_once_per_checkpoint(finished):
    trainer = finished
    folder = Path(trainer.output_folder)
    content = torch.load(folder / "checkpoint_final.pth", weights_only=True)
    encoder = trainer.network.backbone.encoder.state_dict()
    for prefix in {
        key.split("encoder")[0] for key in content["network_weights"] if "encoder" in key
    }:
        assert prefix == "backbone."
    assert len([k for k in content["network_weights"] if "encoder" in k]) == len(encoder)


def test_variants_are_found_for_any_number_of_epochs(dataset):
    for name, epochs in (
        ("PCRLv2PretrainTrainer_5epochs", 5),
        ("PCRLv2PretrainTrainer_100epochs", 100),
        ("PCRLv2PretrainTrainer_1epoch", 1),
    ):
        assert variant(name).__name__ == name
        assert dataset.trainer(variant(name), "3d_fullres").num_epochs == epochs
    for name in ("PCRLv2PretrainTrainer_0epochs", "nnUNetTrainer_5epochs", "Nothing"):
        assert variant(name) is None


def test_a_variants_name_stands_for_settings(dataset):
    def settings(name):
        return dataset.trainer(variant(f"PCRLv2PretrainTrainer_{name}"), "3d_fullres").settings

    restoration, comparison = settings("restorationOnly"), settings("comparisonOnly")
    assert (restoration.restoration_weight, restoration.comparison_weight) == (1, 0)
    assert (comparison.restoration_weight, comparison.comparison_weight) == (0, 1)
    several = settings("restorationOnly_seed3_lr2en2_7epochs")
    assert several.comparison_weight == 0 and several.num_epochs == 7
    assert (several.seed, several.initial_lr) == (3, 0.02)
    with pytest.raises(AttributeError, match="there is no trainer PCRLv2Pretrain.*_somethingOnly"):
        trainers.PCRLv2PretrainTrainer_somethingOnly  # noqa: B018


@pytest.mark.parametrize("configuration, swaps", [("2d", 0.0), ("3d_fullres", 0.2)])
def test_the_authors_settings_come_by_name_and_the_plans_before_them(dataset, configuration, swaps):
    trainer = dataset.trainer(variant("PCRLv2PretrainTrainer_authors_9epochs"), configuration)
    settings = trainer.settings
    assert (settings.swapped_part, settings.num_epochs) == (swaps, 9)
    plain = dataset.trainer(PCRLv2PretrainTrainer, configuration).settings
    assert settings.local_scale != plain.local_scale
    assert settings.global_size == plain.global_size
    # The data set's plans give their own, others than the authors'.
    assert (settings.batch_size, settings.initial_lr) == (plain.batch_size, plain.initial_lr)


def test_a_variants_length_comes_before_the_plans(dataset):
    trainer = dataset.trainer(variant("PCRLv2PretrainTrainer_3epochs"), "3d_fullres")
    assert trainer.num_epochs == trainer.settings.num_epochs == 3
    assert "PCRLv2PretrainTrainer_3epochs__nnUNetPlans__3d_fullres" in trainer.output_folder


@pytest.mark.slow
def test_an_earlier_result_is_moved_aside_and_not_overwritten(dataset):
    first = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    first.run_training()
    old = (Path(first.output_folder) / "pretrained_weights.pth").read_bytes()
    second = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    second.run_training()
    kept = list(Path(second.output_folder).glob("previous_*/pretrained_weights.pth"))
    assert len(kept) == 1 and kept[0].read_bytes() == old
    assert "was moved to" in log_text(second)


@pytest.mark.slow
def test_settings_changed_before_resuming_are_named_and_count(dataset):
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    trainer.run_training()
    section = dataset.plans["configurations"]["2d"]["nnunetv2_pcrl"]["pcrlv2"]
    section.update(initial_lr=0.5, weight_decay=0.02)
    resumed = dataset.trainer(PCRLv2PretrainTrainer, "2d", resume=True)
    resumed.load_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    assert "initial_lr was 0.01 and is now 0.5" in log_text(resumed)
    assert "weight_decay was 0.0001 and is now 0.02" in log_text(resumed)
    assert resumed.optimizer.param_groups[0]["weight_decay"] == 0.02


@pytest.mark.parametrize(
    ("target", "command"),
    [
        (None, r"\n  nnUNetv2_train Dataset999_Prepared 3d_fullres FOLD .* -p nnUNetPlans\n"),
        (
            "Dataset043_T",
            r"\n  nnUNet_pcrl_weights=\S+ nnUNetv2_train Dataset043_T .* -p Plans43$",
        ),
        ("Dataset999_Prepared", r"\n  nnUNet_pcrl_weights=\S+ nnUNetv2_train .* -p Plans43$"),
    ],
)
def test_the_last_words_name_the_data_set_to_fine_tune_on(dataset, target, command):
    if target:
        dataset.plans["planned_for"] = {"dataset_name": target, "plans_name": "Plans43"}
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    (Path(trainer.output_folder) / "pretrained_weights.pth").touch()
    trainer.perform_actual_validation()
    assert re.search(command, log_text(trainer).rstrip())


@pytest.mark.slow
def test_disabled_checkpointing_writes_no_checkpoint_and_says_so(dataset):
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    trainer.disable_checkpointing = True
    trainer.run_training()
    trainer.perform_actual_validation()
    assert not list(Path(trainer.output_folder).glob("*.pth"))
    assert "checkpointing was disabled" in log_text(trainer)


# Bad input


def test_a_cascade_is_refused(dataset):
    cascade = configuration(3, previous_stage="3d_lowres", nnunetv2_pcrl={"pcrlv2": SETTINGS})
    dataset.plans["configurations"]["3d_cascade_fullres"] = cascade
    dataset.plans["configurations"]["3d_lowres"] = configuration(3)
    with pytest.raises(ValueError, match="3d_cascade_fullres is not possible.*3d_lowres"):
        dataset.trainer(PCRLv2PretrainTrainer, "3d_cascade_fullres")


def test_an_unsupported_architecture_is_named(dataset):
    architecture = dataset.plans["configurations"]["3d_fullres"]["architecture"]
    architecture["network_class_name"] = "prepared_dataset.NotAUNet"
    architecture["arch_kwargs"] = {}
    architecture["_kw_requires_import"] = []
    with pytest.raises(ValueError, match="NotAUNet cannot be pretrained.*PlainConvUNet"):
        dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"global_size": [18, 16, 16]}, "multiple of the total stride"),
        ({"global_sise": [16, 16, 16]}, 'did you mean "global_size"'),
        ({"batch_size": 1}, '"batch_size" must be greater than or equal to 2'),
    ],
)
def test_a_plan_override_that_does_not_fit_is_refused(nnunet_folders, override, message):
    dataset = make_dataset(nnunet_folders, num_cases=1, settings=override)
    with pytest.raises(ValueError, match=message):
        dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")


def test_a_small_comparison_batch_is_warned_about(dataset):
    assert "WARNING: with a comparison batch of 4" in log_text(
        dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    )


def test_an_empty_dataset_is_refused(nnunet_folders):
    dataset = make_dataset(nnunet_folders, num_cases=0)
    with pytest.raises(ValueError, match="no preprocessed cases.*nnUNetv2_plan_and_preprocess"):
        dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres").run_training()


def test_too_few_cases_for_five_folds_are_refused(nnunet_folders):
    dataset = make_dataset(nnunet_folders, num_cases=3)
    with pytest.raises(ValueError, match="needs at least 5 cases.* has 3. Use fold all"):
        dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres", fold=0).run_training()


@pytest.mark.slow
def test_a_single_case_is_refused_unless_the_plans_allow_it(nnunet_folders):
    dataset = make_dataset(nnunet_folders, num_cases=1)
    with pytest.raises(ValueError, match='at least 2 usable cases.*has 1.*"min_cases": 1'):
        dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres").run_training()
    dataset = make_dataset(nnunet_folders, num_cases=1, settings={"min_cases": 1})
    dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres").run_training()


def test_unusable_cases_are_named_once_and_left_out(dataset):
    folder = dataset.data_folder("2d")
    (folder / "case_0.b2nd").write_bytes(b"damaged")
    dataset.add_case("2d", "case_1", np.full((1, 20, 20, 20), np.nan))
    dataset.add_case("2d", "case_2", np.ones((1, 20, 20, 20)))
    dataset.add_case("2d", "case_3", smooth_image((2, 20, 20, 20), 3))
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    trainer.run_training()
    text = log_text(trainer)
    for case, reason in (
        ("case_0", "cannot be opened"),
        ("case_1", "not finite"),
        ("case_2", "constant"),
        ("case_3", "2 channels, the network 1"),
    ):
        assert len(re.findall(f"case {case} is left out: .*{reason}", text)) == 1
    assert np.isfinite(trainer.logger.get_value("train_losses", None)).all()


@pytest.mark.slow
def test_one_slice_images_train_in_3d(nnunet_folders):
    dataset = make_dataset(nnunet_folders, shape=(1, 1, 24, 24))
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    trainer.run_training()
    assert np.isfinite(trainer.logger.get_value("val_losses", None)).all()


def test_only_unusable_cases_end_with_their_names(nnunet_folders):
    dataset = make_dataset(nnunet_folders, num_cases=0)
    for number in range(3):
        dataset.add_case("3d_fullres", f"flat_{number}", np.zeros((1, 20, 20, 20)))
    with pytest.raises(RuntimeError, match="(?s)No usable case.*flat_.*no content"):
        dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres").run_training()


def test_a_loss_that_is_not_finite_is_skipped_and_named_and_ends_the_run_in_time(dataset):
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    trainer.on_train_start()
    batch = next(trainer.dataloader_train)
    before = weights_of(trainer)
    views = batch["views"]
    broken = {**batch, "views": {**views, "target": views["target"] * math.nan}}
    assert trainer.train_step(broken) == {}
    assert all(torch.equal(before[k], v) for k, v in trainer.network.state_dict().items())
    assert f"Cases: {', '.join(batch['cases'])}" in log_text(trainer)
    assert trainer.train_step(batch)["loss"] > 0
    with pytest.raises(RuntimeError, match="steps in a row.*initial_lr"):
        for _ in range(MOST_IN_A_ROW):
            trainer.train_step(broken)


def test_what_dropout_of_a_plan_draws_is_a_function_of_the_step(dataset):
    planned = dataset.plans["configurations"]["2d"]["architecture"]["arch_kwargs"]
    planned |= {"dropout_op": "torch.nn.Dropout2d", "dropout_op_kwargs": {"p": 0.5}}
    losses = []
    # As much as was drawn before a kill, and nothing of it after a start with --c.
    for num_drawn_before in (0, 7):
        trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
        trainer.on_train_start()
        trainer.on_train_epoch_start()
        torch.rand(num_drawn_before)
        losses.append([trainer.train_step(next(trainer.dataloader_train)) for _ in range(2)])
    assert losses[0] == losses[1]
    assert losses[0][0]["loss"] != losses[0][1]["loss"]


def test_a_gradient_that_is_not_finite_is_skipped_and_named_like_such_a_loss(dataset):
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    trainer.on_train_start()
    batch = next(trainer.dataloader_train)
    before = weights_of(trainer)
    accumulate = trainer.accumulate_gradients

    def spoil(batch, generator, scale):
        loss = accumulate(batch, generator, scale)
        next(p for p in trainer.network.parameters() if p.grad is not None).grad[0] = math.inf
        return loss

    trainer.accumulate_gradients = spoil
    assert trainer.train_step(batch) == {}
    parameters = dict(trainer.network.named_parameters())
    assert all(torch.equal(before[name], value) for name, value in parameters.items())
    assert "WARNING: the gradient is not finite, step 0" in log_text(trainer)


def test_overflows_that_a_scaler_cannot_mend_end_the_run_too(dataset):
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    trainer.on_train_start()
    batch = next(trainer.dataloader_train)
    accumulate, updates = trainer.accumulate_gradients, []
    trainer.grad_scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    trainer.after_update = lambda: updates.append(1)
    is_broken = True

    def spoil(batch, generator, scale):
        loss = accumulate(batch, generator, scale)
        if is_broken:
            parameter = next(p for p in trainer.network.parameters() if p.grad is not None)
            parameter.grad[0] = math.inf
        return loss

    trainer.accumulate_gradients = spoil
    numbers = trainer.train_step(batch)
    # The scaler looks after one of them: the step counts, with no gradient to speak of.
    assert math.isfinite(numbers["loss"]) and "gradient_norm" not in numbers
    assert updates == [] and trainer.grad_scaler.get_scale() == 2
    is_broken = False
    assert math.isfinite(trainer.train_step(batch)["gradient_norm"]) and updates == [1]
    is_broken = True
    with pytest.raises(RuntimeError, match=f"{MOST_IN_A_ROW_SCALED} steps in a row had a gradient"):
        for _ in range(MOST_IN_A_ROW_SCALED):
            trainer.train_step(batch)


def test_a_best_epoch_that_could_not_be_written_is_not_the_one_to_beat(dataset, monkeypatch):
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    trainer.on_train_start()
    saved = []

    def write_or_fail(filename, is_epoch_finished):
        name = os.path.basename(filename)
        if name == "checkpoint_best.pth" and trainer.current_epoch == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append((trainer.current_epoch, name))

    monkeypatch.setattr(trainer, "_write_checkpoint", write_or_fail)
    for loss in (1.0, 3.0, 2.0):
        trainer.on_epoch_start()
        trainer.logger.log("val_losses", loss, trainer.current_epoch)
        trainer.on_epoch_end()
    assert [epoch for epoch, name in saved if name == "checkpoint_best.pth"] == [1, 2]
    assert trainer._best_ema == 2.0


def test_a_checkpoint_that_says_nothing_of_a_begun_epoch_goes_on(dataset, tmp_path):
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    trainer.on_train_start()
    file = tmp_path / "checkpoint_latest.pth"
    trainer.save_checkpoint(str(file))
    content = torch.load(file, weights_only=False)
    del content["epoch_outputs"]
    torch.save(content, file)
    resumed = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    resumed.load_checkpoint(str(file))
    resumed.on_train_start()
    resumed.on_train_epoch_start()
    assert resumed.train_step(next(resumed.dataloader_train))["loss"] > 0


def test_an_epoch_without_a_finite_loss_keeps_every_log_in_step(dataset):
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    accumulate = trainer.accumulate_gradients

    def spoil_the_first_epoch(batch, generator, scale):
        if trainer.current_epoch == 0:
            batch["views"]["target"].mul_(math.nan)
        return accumulate(batch, generator, scale)

    trainer.accumulate_gradients = spoil_the_first_epoch
    trainer.run_training()
    logged = trainer.logger.local_logger.my_fantastic_logging
    for key in ("train_losses", "train_restoration", "train_gradient_norm"):
        assert len(logged[key]) == 2, key
        assert math.isnan(logged[key][0]) and math.isfinite(logged[key][1]), key


def test_a_pretraining_network_refuses_to_segment(dataset):
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
    trainer.initialize()
    with pytest.raises(RuntimeError, match="-tr PCRLv2FinetuneTrainer"):
        trainer.network(torch.zeros(1, 1, 16, 16, 16))


@pytest.mark.slow
def test_background_workers_give_the_same_run_as_none(dataset, monkeypatch):
    runs = []
    for workers in ("0", "2"):
        monkeypatch.setenv("nnUNet_n_proc_DA", workers)
        trainer = dataset.trainer(PCRLv2PretrainTrainer, "3d_fullres")
        trainer.run_training()
        runs.append(weights_of(trainer))
    for key, value in runs[0].items():
        torch.testing.assert_close(value, runs[1][key], rtol=1e-4, atol=1e-5)
