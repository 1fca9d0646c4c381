import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from batchgenerators.utilities.file_and_folder_operations import load_pickle, write_pickle
from nnunetv2.model_sharing.model_export import export_pretrained_model
from nnunetv2.model_sharing.model_import import install_model_from_zip_file
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from prepared_dataset import PreparedDataset, configuration, smooth_image
from torch.nn.parallel import DistributedDataParallel

from nnunetv2_pcrl.trainers import PCRLv2FinetuneTrainer, PCRLv2PretrainTrainer
from nnunetv2_pcrl.trainers import trainer_named as variant

pytestmark = pytest.mark.usefixtures("one_thread", "no_pictures")

SETTINGS = {
    "batch_size": 2,
    "num_epochs": 1,
    "num_iterations_per_epoch": 1,
    "num_val_iterations_per_epoch": 1,
    "num_local": 1,
    "pictures_every": 0,
}


class SharedPretrainings(PreparedDataset):
    """A data set whose pretrainings the tests of this file share.

    Attributes:
        kept: folder with copies of their results, by what was trained.
    """

    def __init__(self, kept: Path, *args):
        super().__init__(*args)
        self.kept = kept


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Where results of pretrainings are kept."""
    return tmp_path_factory.mktemp("pretrainings")


@pytest.fixture
def dataset(nnunet_folders, kept):
    """Four cases, a 3D and a 2D configuration."""
    configurations = {
        "3d_fullres": configuration(3),
        "2d": configuration(2),
    }
    preprocessed = nnunet_folders / "nnUNet_preprocessed"
    prepared = SharedPretrainings(kept, preprocessed, configurations)
    for name in configurations:
        for number in range(4):
            prepared.add_case(name, f"case_{number}", smooth_image((1, 20, 20, 20), number))
    return prepared


def pretrain(
    dataset, name="3d_fullres", fold="all", trainer=PCRLv2PretrainTrainer, **settings
) -> Path:
    """A finished pretraining; the path of its weights."""
    values = dataset.plans["configurations"][name]
    before = values.pop("nnunetv2_pcrl", {})
    values["nnunetv2_pcrl"] = {**before, "pcrlv2": SETTINGS | settings}
    trainer = dataset.trainer(trainer, name, fold)
    splits = dataset.folder / "splits_final.json"
    what = [type(trainer).__name__, name, fold, dataset.plans, dataset.dataset_json]
    what.append(splits.read_text() if splits.exists() else None)
    values["nnunetv2_pcrl"] = before
    kept = dataset.kept / hashlib.sha256(json.dumps(what).encode()).hexdigest()
    result = Path(trainer.output_folder)
    if not kept.exists():
        trainer.run_training()
        shutil.copytree(result, kept)
    # Not with the times of the files: the newest of several is looked for.
    shutil.copytree(kept, result, copy_function=shutil.copy, dirs_exist_ok=True)
    return result / "pretrained_weights.pth"


def set_finetuning(dataset, name="3d_fullres", **settings) -> None:
    """Writes settings of fine-tuning into the plans."""
    dataset.plans["configurations"][name]["nnunetv2_pcrl"] = {"finetune": settings}


def started(dataset, name="3d_fullres", fold="all", trainer=PCRLv2FinetuneTrainer):
    """A fine-tuning that has done everything up to its first step."""
    trainer = dataset.trainer(trainer, name, fold)
    trainer.on_train_start()
    return trainer


def log_text(trainer) -> str:
    return "".join(p.read_text() for p in Path(trainer.output_folder).glob("training_log*.txt"))


def assert_encoder_from(trainer, weights: Path) -> None:
    stored = torch.load(weights, weights_only=True)["network_weights"]
    for name, value in trainer.network.encoder.named_parameters():
        assert torch.equal(value, stored[f"encoder.{name}"]), name


@pytest.mark.parametrize("name", ["3d_fullres", "2d"])
def test_it_starts_from_the_newest_pretraining_of_the_same_experiment(dataset, name):
    weights = pretrain(dataset, name)
    trainer = started(dataset, name)
    assert_encoder_from(trainer, weights)
    assert str(weights) in log_text(trainer)
    assert "come from the file" in log_text(trainer)
    report = json.loads((Path(trainer.output_folder) / "transfer_report.json").read_text())
    assert report["weights"] == str(weights)
    assert len(report["loaded"]) == len(list(trainer.network.encoder.parameters()))


def test_weights_of_a_pretraining_variant_are_found_too(dataset):
    weights = pretrain(dataset, trainer=variant("PCRLv2PretrainTrainer_2epochs"))
    assert_encoder_from(started(dataset), weights)


def test_the_environment_comes_before_the_plans_and_they_before_results(
    dataset, tmp_path, monkeypatch
):
    found = pretrain(dataset)
    named = {}
    for seed, place in enumerate(("plans", "environment"), start=1):
        named[place] = tmp_path / f"{place}.pth"
        pretrain(dataset, seed=seed).rename(named[place])
    found = pretrain(dataset)
    assert_encoder_from(started(dataset), found)
    set_finetuning(dataset, weights=str(named["plans"]))
    assert_encoder_from(started(dataset), named["plans"])
    monkeypatch.setenv("nnUNet_pcrl_weights", str(named["environment"]))
    assert_encoder_from(started(dataset), named["environment"])


def test_no_weights_found_names_all_three_places(dataset):
    with pytest.raises(
        ValueError, match=r"nnUNet_pcrl_weights.*\"weights\".*PCRLv2PretrainTrainer"
    ):
        started(dataset)


def test_a_named_file_that_is_missing_is_an_error_also_if_others_exist(dataset, monkeypatch):
    pretrain(dataset)
    monkeypatch.setenv("nnUNet_pcrl_weights", "/nowhere/weights.pth")
    with pytest.raises(ValueError, match="environment variable.*no weights file /nowhere"):
        started(dataset)


def test_weights_of_another_dimension_are_refused_unless_allowed(dataset, monkeypatch):
    monkeypatch.setenv("nnUNet_pcrl_weights", str(pretrain(dataset, "2d")))
    with pytest.raises(ValueError, match="2D network, the planned network is 3D"):
        started(dataset)
    set_finetuning(dataset, other_dimension=True)
    assert "kernel (3, 3) -> (3, 3, 3)" in log_text(started(dataset))


def test_weights_of_another_architecture_are_refused(dataset, monkeypatch):
    monkeypatch.setenv("nnUNet_pcrl_weights", str(pretrain(dataset)))
    dataset.plans["configurations"]["3d_fullres"] = configuration(3, "ResidualEncoderUNet")
    with pytest.raises(ValueError, match="do not fit the planned network.*another plan"):
        started(dataset)


def test_weights_of_another_number_of_channels_are_adapted_and_the_report_says_how(
    dataset, monkeypatch
):
    weights = pretrain(dataset)
    monkeypatch.setenv("nnUNet_pcrl_weights", str(weights))
    dataset.dataset_json["channel_names"] = {"0": "a", "1": "b"}
    trainer = started(dataset)
    stem = trainer.network.encoder.stages[0][0].convs[0].conv.weight
    stored = torch.load(weights, weights_only=True)["network_weights"]
    given = stored["encoder.stages.0.0.convs.0.conv.weight"]
    assert torch.allclose(stem, given.expand_as(stem) / 2)
    assert "input channels 1 -> 2" in log_text(trainer)


def test_fitting_weights_of_another_dataset_are_used_and_its_name_and_intensities_told(
    dataset, monkeypatch
):
    weights = pretrain(dataset)
    content = torch.load(weights, weights_only=True)
    content["nnunet_plans"]["dataset_name"] = "Dataset123_Other"
    other = content["nnunet_plans"]["configurations"]["3d_fullres"]
    other["normalization_schemes"] = ["CTNormalization"]
    torch.save(content, weights)
    monkeypatch.setenv("nnUNet_pcrl_weights", str(weights))
    text = log_text(started(dataset))
    assert "another data set, Dataset123_Other" in text
    assert "normalised by ['CTNormalization'], these are by ['ZScoreNormalization']" in text


@pytest.mark.parametrize("content", [b"", b"PK truncated", b"text"])
def test_a_file_that_is_no_checkpoint_is_refused(dataset, tmp_path, monkeypatch, content):
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    monkeypatch.setenv("nnUNet_pcrl_weights", str(file))
    with pytest.raises(ValueError, match="not a complete PyTorch checkpoint"):
        started(dataset)


def test_a_pretraining_checkpoint_serves_as_well_as_its_weights_file(dataset, monkeypatch):
    weights = pretrain(dataset)
    monkeypatch.setenv("nnUNet_pcrl_weights", str(weights.with_name("checkpoint_final.pth")))
    trainer = started(dataset)
    assert_encoder_from(trainer, weights)
    assert "pretraining checkpoint of nnunetv2_pcrl, method PCRLv2" in log_text(trainer)


def test_an_unfinished_pretraining_is_used_and_said_to_be_unfinished(dataset):
    weights = pretrain(dataset)
    content = torch.load(weights, weights_only=True)
    torch.save({**content, "num_epochs": 240}, weights)
    assert "stopped after 1 of 240 epochs" in log_text(started(dataset))


@pytest.mark.parametrize("mode", ["encoder", "encoder_decoder", "encoder_decoder_zero_skip"])
def test_the_plans_choose_what_is_transferred(dataset, mode):
    weights = torch.load(pretrain(dataset), weights_only=True)["network_weights"]
    set_finetuning(dataset, transfer=mode)
    trainer = started(dataset)
    key = "decoder.stages.0.convs.0.conv.weight"
    loaded, half = trainer.network.state_dict()[key], weights[key].shape[1] // 2
    assert torch.equal(loaded[:, :half], weights[key][:, :half]) == (mode != "encoder")
    assert bool((loaded[:, half:] == 0).all()) == (mode == "encoder_decoder_zero_skip")


def test_resuming_and_validation_need_no_weights_file(dataset):
    weights = pretrain(dataset)
    first = started(dataset)
    first.save_checkpoint(os.path.join(first.output_folder, "checkpoint_latest.pth"))
    weights.unlink()
    resumed = dataset.trainer(PCRLv2FinetuneTrainer, "3d_fullres", resume=True)
    resumed.load_checkpoint(os.path.join(first.output_folder, "checkpoint_latest.pth"))
    resumed.on_train_start()
    for key, value in first.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[key])


def test_prediction_builds_the_stock_network_without_weights(dataset):
    assert (
        PCRLv2FinetuneTrainer.build_network_architecture is nnUNetTrainer.build_network_architecture
    )


def test_weights_given_on_the_command_line_are_kept(dataset, tmp_path):
    weights = pretrain(dataset)
    given = tmp_path / "given.pth"
    pretrain(dataset, seed=7).rename(given)
    trainer = dataset.trainer(PCRLv2FinetuneTrainer, "3d_fullres")
    trainer.initialize()
    load_pretrained_weights(trainer.network, str(given))
    trainer.on_train_start()
    assert_encoder_from(trainer, given)
    assert weights != given and "Keeping the weights given" in log_text(trainer)


def test_the_stock_trainer_takes_the_same_file(dataset):
    weights = pretrain(dataset)
    trainer = dataset.trainer(nnUNetTrainer, "3d_fullres")
    trainer.initialize()
    load_pretrained_weights(trainer.network, str(weights), verbose=False)
    assert_encoder_from(trainer, weights)


def test_everything_but_the_start_is_nnunets_own(dataset):
    pretrain(dataset)
    ours = started(dataset)
    stock = started(dataset, trainer=nnUNetTrainer)
    for name in ("num_epochs", "initial_lr", "weight_decay", "num_iterations_per_epoch"):
        assert getattr(ours, name) == getattr(stock, name)
    assert type(ours.optimizer) is type(stock.optimizer)
    assert type(ours.lr_scheduler) is type(stock.lr_scheduler)
    assert ours.network.state_dict().keys() == stock.network.state_dict().keys()
    classes = PCRLv2FinetuneTrainer.mro()
    hooks = {name for name, value in vars(nnUNetTrainer).items() if callable(value)}
    own = classes[: classes.index(nnUNetTrainer)]
    overridden = {name for one in own for name in vars(one) if name in hooks}
    assert overridden <= {
        "__init__",
        "initialize",
        "configure_optimizers",
        "load_checkpoint",
        "on_train_start",
        "perform_actual_validation",
        "save_checkpoint",
        "get_dataloaders",
        "on_train_epoch_start",
        # They guard the run and leave the training as it is.
        "run_training",
        "train_step",
        "validation_step",
        "print_to_log_file",
    }


def test_the_from_scratch_twin_loads_nothing_and_needs_nothing(dataset):
    def weights_of(trainer):
        torch.manual_seed(5)
        trainer.initialize()
        trainer.on_train_start()
        return trainer.network.state_dict()

    twin = dataset.trainer(variant("PCRLv2FinetuneTrainer_fromScratch"), "3d_fullres", "all")
    stock = weights_of(dataset.trainer(nnUNetTrainer, "3d_fullres", "all"))
    assert all(torch.equal(value, stock[name]) for name, value in weights_of(twin).items())
    assert "from scratch" in log_text(twin)
    assert not (Path(twin.output_folder) / "transfer_report.json").exists()


def test_a_training_from_scratch_leaves_no_report_of_an_earlier_one(dataset):
    pretrain(dataset)
    report = Path(started(dataset).output_folder) / "transfer_report.json"
    assert report.is_file()
    set_finetuning(dataset, from_scratch=True)
    started(dataset)
    assert not report.exists()


def test_the_from_scratch_twin_refuses_weights_from_the_command_line(dataset):
    twin = dataset.trainer(variant("PCRLv2FinetuneTrainer_fromScratch"), "3d_fullres", "all")
    twin.initialize()
    with torch.no_grad():
        next(twin.network.parameters()).fill_(1)
    with pytest.raises(ValueError, match="starts from no weights, but -pretrained_weights gave"):
        twin.on_train_start()


def test_an_ablation_is_fine_tuned_from_its_own_pretraining(dataset):
    pretrain(dataset)
    weights = pretrain(dataset, trainer=variant("PCRLv2PretrainTrainer_comparisonOnly"))
    tuned = started(dataset, trainer=variant("PCRLv2FinetuneTrainer_comparisonOnly"))
    assert_encoder_from(tuned, weights)


def test_a_label_fold_starts_from_the_pretraining_of_its_fold(dataset):
    cases = [f"case_{number}" for number in range(4)]
    splits = [{"train": cases[:2], "val": cases[2:]}, {"train": cases[2:], "val": cases[:2]}]
    splits.append({"train": cases[:1], "val": cases[2:]})
    (dataset.folder / "splits_final.json").write_text(json.dumps(splits))
    row = {"fold": 2, "of_fold": 0, "num_cases": 1, "fraction": 0.5, "repeat": 0}
    (dataset.folder / "label_folds.json").write_text(json.dumps({"label_folds": [row]}))
    own = pretrain(dataset, fold=0)
    pretrain(dataset, fold=1)
    tuned = started(dataset, fold=2)
    assert_encoder_from(tuned, own)
    assert "WARNING: it is of" not in log_text(tuned)


def test_a_variants_name_sets_the_number_of_epochs(dataset):
    trainer = dataset.trainer(variant("PCRLv2FinetuneTrainer_17epochs"), "3d_fullres")
    assert trainer.num_epochs == 17


@pytest.mark.parametrize(
    ("name", "settings", "num_epochs"),
    [
        ("PCRLv2FinetuneTrainer_zeroSkip", {"transfer": "encoder_decoder_zero_skip"}, 1000),
        (
            "PCRLv2FinetuneTrainer_warmup2_frozen3_9epochs",
            {"warmup_new_epochs": 2, "warmup_epochs": 2, "freeze_encoder_epochs": 3},
            9,
        ),
        ("PCRLv2FinetuneTrainer_sawtooth_seed3_100epochs", {"sawtooth": True, "seed": 3}, 100),
    ],
)
def test_a_variants_name_stands_for_settings(dataset, name, settings, num_epochs):
    trainer = dataset.trainer(variant(name), "3d_fullres")
    assert type(trainer).__name__ == name and trainer.num_epochs == num_epochs
    for setting, value in settings.items():
        assert getattr(trainer.finetune_settings, setting) == value


@pytest.mark.parametrize(
    "name",
    [
        "PCRLv2FinetuneTrainer_",
        "PCRLv2FinetuneTrainer_warm",
        "PCRLv2FinetuneTrainer_zeroSkip_heSkip",
        "PCRLv2PretrainTrainer_zeroSkip",
    ],
)
def test_other_names_are_no_variants(name):
    assert variant(name) is None


def test_a_warm_up_trains_new_layers_first_and_resuming_continues_it(dataset):
    pretrain(dataset)
    set_finetuning(dataset, warmup_new_epochs=2, warmup_epochs=2, finetune_lr=0.004)
    trainer = started(dataset)
    trainer.on_train_epoch_start()
    rates = {group["part"]: group["lr"] for group in trainer.optimizer.param_groups}
    assert rates == pytest.approx({"heads": 0.002, "decoder": 0.002, "encoder": 0})
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    trainer.train_step(next(trainer.dataloader_train))
    for key, value in trainer.network.encoder.state_dict().items():
        assert torch.equal(value, before[f"encoder.{key}"])
    key = "decoder.seg_layers.1.weight"
    assert not torch.equal(trainer.network.state_dict()[key], before[key])

    path = os.path.join(trainer.output_folder, "checkpoint_latest.pth")
    trainer.current_epoch = 2
    trainer.save_checkpoint(path)
    resumed = dataset.trainer(PCRLv2FinetuneTrainer, "3d_fullres", resume=True)
    resumed.load_checkpoint(path)
    resumed.current_epoch = 3
    resumed.on_train_start()
    resumed.on_train_epoch_start()
    assert [group["lr"] for group in resumed.optimizer.param_groups] == pytest.approx([0.004] * 3)


def test_regions_and_an_ignore_label_train_as_in_nnu_net(dataset):
    pretrain(dataset)
    dataset.dataset_json |= {
        "labels": {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3},
        "regions_class_order": [1, 2],
    }
    # nnU-Net's preprocessing stores where each region lies, and where anything is annotated.
    for file in dataset.data_folder("3d_fullres").glob("*.pkl"):
        properties = load_pickle(file)
        points = properties["class_locations"][1]
        everything = (-1, 0, 1, 2)
        properties["class_locations"] = {(1, 2): points, (2,): [], everything: points}
        write_pickle(properties, file)
    trainer = started(dataset)
    assert trainer.label_manager.has_regions and trainer.label_manager.has_ignore_label
    trainer.on_train_epoch_start()
    assert np.isfinite(trainer.train_step(next(trainer.dataloader_train))["loss"])


def add_cascade(dataset) -> None:
    dataset.plans["configurations"] |= {
        "3d_lowres": {"inherits_from": "3d_fullres", "next_stage": "3d_cascade_fullres"},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
    }
    dataset.dataset_json["labels"] = {"background": 0, "organ": 1, "tumour": 2}


def test_a_cascade_starts_from_the_pretraining_of_the_configuration_below_it(dataset):
    add_cascade(dataset)
    dataset.plans["configurations"]["mine"] = {"inherits_from": "3d_cascade_fullres"}
    trainer = dataset.trainer(PCRLv2FinetuneTrainer, "mine")
    trainer.initialize()
    with pytest.raises(ValueError, match=r"Pretrain with nnUNetv2_train \S+ 3d_fullres all -tr"):
        trainer._start_from_pretrained_weights()
    weights = pretrain(dataset)
    trainer._start_from_pretrained_weights()
    assert str(weights) in log_text(trainer)


def test_channels_of_a_cascade_start_at_zero(dataset):
    weights = pretrain(dataset)
    add_cascade(dataset)
    trainer = dataset.trainer(PCRLv2FinetuneTrainer, "3d_cascade_fullres")
    trainer.initialize()
    trainer._start_from_pretrained_weights()
    stored = torch.load(weights, weights_only=True)["network_weights"]
    stem = trainer.network.encoder.stages[0][0].convs[0].conv.weight
    assert torch.equal(stem[:, :1], stored["encoder.stages.0.0.convs.0.conv.weight"])
    assert stem.shape[1] == 3 and not stem[:, 1:].any()


@pytest.mark.slow
def test_a_compiled_network_in_ddp_gets_the_weights_too(dataset, tmp_path):
    weights = pretrain(dataset)
    trainer = dataset.trainer(PCRLv2FinetuneTrainer, "3d_fullres")
    trainer.initialize()
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        planned = trainer.network
        trainer.network = DistributedDataParallel(torch.compile(planned))
        trainer._start_from_pretrained_weights()
    finally:
        torch.distributed.destroy_process_group()
    trainer.network = planned
    assert_encoder_from(trainer, weights)


RENAME = (
    "import sys, torch; p = sys.argv[1]; c = torch.load(p, weights_only=False); "
    "c['trainer_name'] = 'nnUNetTrainer'; torch.save(c, p)"
)


@pytest.mark.slow
def test_an_exported_model_predicts_without_the_package_after_the_documented_rename(
    dataset, tmp_path, monkeypatch
):
    page = Path(__file__).parents[3] / "docs/how-to/share_a_model.md"
    assert RENAME in page.read_text()
    pretrain(dataset)
    trainer = started(dataset)
    trainer.save_checkpoint(os.path.join(trainer.output_folder, "checkpoint_final.pth"))
    for name in ("progress.png", "validation/summary.json"):
        file = Path(trainer.output_folder) / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    archive = tmp_path / "model.zip"
    export_pretrained_model(
        dataset.plans["dataset_name"],
        str(archive),
        ("3d_fullres",),
        "PCRLv2FinetuneTrainer",
        folds=("all",),
    )
    other = tmp_path / "other_machine"
    monkeypatch.setenv("nnUNet_results", str(other))
    install_model_from_zip_file(str(archive))
    (folder,) = other.glob("*/PCRLv2FinetuneTrainer__*")
    checkpoint = folder / "fold_all/checkpoint_final.pth"
    # Both in one process, as importing nnU-Net takes seconds: first refused, then renamed.
    script = f"""
import sys
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
import torch
def load():
    predictor = nnUNetPredictor(device=torch.device("cpu"))
    predictor.initialize_from_trained_model_folder({str(folder)!r}, ("all",))
    return predictor.network
try:
    load()
    raise SystemExit("the package was found")
except RuntimeError as error:
    assert "PCRLv2FinetuneTrainer" in str(error), error
sys.argv[1:] = [{str(checkpoint)!r}]
exec({RENAME!r})
assert type(load()).__name__ == "PlainConvUNet"
"""
    environment = {**os.environ, "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    environment.pop("nnUNet_extTrainer", None)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def test_an_unknown_setting_is_refused(dataset):
    set_finetuning(dataset, weight="x.pth")
    with pytest.raises(ValueError, match='"weight".*did you mean "weights"'):
        dataset.trainer(PCRLv2FinetuneTrainer, "3d_fullres")


def test_a_full_disk_leaves_the_old_checkpoint(dataset, monkeypatch):
    pretrain(dataset)
    trainer = started(dataset)
    path = Path(trainer.output_folder) / "checkpoint_latest.pth"
    trainer.save_checkpoint(str(path))
    before = path.read_bytes()

    def full_disk(content, file):
        Path(file).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        trainer.save_checkpoint(str(path))
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*tmp"))


def test_half_a_checkpoint_of_a_killed_process_goes_at_the_next_start(dataset):
    trainer = dataset.trainer(PCRLv2FinetuneTrainer, "3d_fullres")
    half = Path(trainer.output_folder) / ".checkpoint_latest.pth.1.tmp"
    half.touch()
    with pytest.raises(ValueError, match="No pretrained weights"):
        trainer.on_train_start()
    assert not half.exists()
