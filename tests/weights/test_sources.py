"""Files of every kind: which one it is, stock names for its weights, and what it says of itself."""

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from planned_networks import planned_network, pretraining_network, shaken

from nnunetv2_pcrl.weights.remarks import remarks_on, remedy_for
from nnunetv2_pcrl.weights.sources import (
    NNSSL,
    NNUNET,
    PORTABLE,
    PRETRAINING,
    UNKNOWN,
    read_source,
    source_from,
)
from nnunetv2_pcrl.weights.transfer import transfer_weights

# nnssl's preset ResEncL with a sixteenth of its features, which are 32, 64, 128, 256, 320, 320.
RESENC_L = {
    "n_stages": 6,
    "features_per_stage": [2, 4, 8, 16, 20, 20],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[3, 3, 3]] * 6,
    "strides": [[1, 1, 1], *[[2, 2, 2]] * 5],
    "n_blocks_per_stage": [1, 3, 4, 6, 6, 6],
    "n_conv_per_stage_decoder": [1] * 5,
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
PLANS = {
    "dataset_name": "Dataset001_A",
    "plans_name": "nnUNetPlans",
    "configurations": {
        "base": {
            "spacing": [3.0, 1.0, 1.0],
            "patch_size": [16, 32, 32],
            "normalization_schemes": ["CTNormalization"],
            "architecture": {"network_class_name": "some.module.PlainConvUNet"},
        },
        "3d_fullres": {"inherits_from": "base", "patch_size": [8, 16, 16]},
    },
}


def nnssl_content(weights, prefix="", architecture="ResEncL") -> dict:
    """A checkpoint as nnssl writes it, with the plan's entries that its collections have."""
    return {
        "network_weights": weights,
        "current_epoch": 1000,
        "trainer_name": "BaseMAETrainer_BS8_1000ep",
        "citations": [{"type": "Pre-training Method", "name": "MAE", "apa_citations": ["He ..."]}],
        "nnssl_adaptation_plan": {
            "architecture_plans": {
                "arch_class_name": architecture,
                "arch_kwargs": None,
                "arch_kwargs_requiring_import": None,
            },
            "pretrain_plan": {
                "dataset_name": "Dataset745_OpenMind",
                "plans_name": "nnsslPlans",
                "configurations": {
                    "onemmiso": {
                        "spacing": [1, 1, 1],
                        "patch_size": [160, 160, 160],
                        "normalization_schemes": ["ZScoreNormalization"],
                    }
                },
            },
            "pretrain_num_input_channels": 1,
            "recommended_downstream_patchsize": [160, 160, 160],
            "key_to_encoder": f"{prefix}encoder.stages",
            "key_to_stem": f"{prefix}encoder.stem",
            "keys_to_in_proj": [f"{prefix}encoder.stem.convs.0.conv"],
            "key_to_lpe": None,
        },
    }


def test_a_portable_file_says_what_it_was_made_from():
    content = {
        "network_weights": planned_network(geometry="3d").state_dict(),
        "method": "PCRLv2",
        "nnunet_plans": PLANS,
        "configuration": "3d_fullres",
        "channel_names": {"0": "CT"},
        "epochs_done": 3,
        "num_epochs": 240,
    }
    source = source_from(content)
    assert (source.kind, source.method, source.architecture) == (
        PORTABLE,
        "PCRLv2",
        "PlainConvUNet",
    )
    assert (source.spacing, source.patch_size) == ((3.0, 1.0, 1.0), (8, 16, 16))
    assert (source.channel_names, source.normalization) == (("CT",), ("CTNormalization",))
    assert source.num_input_channels == 1
    assert "WARNING: its pretraining stopped after 3 of 240 epochs" in remarks_on(
        source, "Dataset001_A", ["CTNormalization"]
    )


def test_a_pretraining_checkpoint_gives_what_its_portable_file_gives():
    pretraining = shaken(pretraining_network("ResidualEncoderUNet", "3d", seed=1))
    skip = planned_network("ResidualEncoderUNet", "3d", seed=1)
    pretraining.backbone.write_into(skip)
    checkpoint = {
        "network_weights": pretraining.state_dict(),
        "init_args": {"plans": PLANS, "configuration": "base", "dataset_json": {}},
        "settings": {"num_epochs": 240},
        "current_epoch": 7,
    }
    source = source_from(checkpoint)
    assert (source.kind, source.epochs_done, source.num_epochs) == (PRETRAINING, 7, 240)
    one, other = (planned_network("ResidualEncoderUNet", "3d", seed=5) for _ in range(2))
    transfer_weights(source.weights, one, "encoder_decoder_zero_skip")
    transfer_weights(skip.state_dict(), other, "encoder_decoder_zero_skip")
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("mode", ["encoder_decoder", "encoder_decoder_zero_skip"])
def test_the_skip_half_is_as_the_mode_says_for_a_decoder_without_skip_connections(mode):
    source = source_from(
        {"network_weights": shaken(pretraining_network("PlainConvUNet")).state_dict()}
    )
    target = shaken(planned_network(seed=3), 3)
    before = target.decoder.stages[0].convs[0].conv.weight.detach().clone()
    transfer_weights(source.weights, target, mode)
    now = target.decoder.stages[0].convs[0].conv.weight
    assert torch.equal(now[:, :16], source.weights["decoder.stages.0.convs.0.conv.weight"])
    expected = before[:, 16:] if mode == "encoder_decoder" else torch.zeros_like(before[:, 16:])
    assert torch.equal(now[:, 16:], expected)


@pytest.mark.parametrize("decoder", ["skips", "no_skips"])
def test_file_and_checkpoint_say_method_variants_decoder_and_citations(decoder):
    said = {
        "method": "MAE",
        "variants": ["100epochs", "seed3"],
        "decoder": decoder,
        "citations": [{"type": "Methodology", "name": "MAE", "apa_citations": ["He (2022)."]}],
    }
    network = planned_network(geometry="3d")
    portable = {"network_weights": network.state_dict(), "nnunet_plans": PLANS}
    # A pretraining network with skip connections keeps the planned network as it is.
    backbone = {f"backbone.unet.{name}": value for name, value in network.state_dict().items()}
    backbone["heads.0.weight"] = torch.ones(1)
    checkpoint = {"network_weights": backbone, "init_args": {"plans": PLANS}}
    for content, kind in ((portable, PORTABLE), (checkpoint, PRETRAINING)):
        source = source_from({**content, **said})
        assert (source.kind, source.method, source.decoder) == (kind, "MAE", decoder)
        assert source.variants == ("100epochs", "seed3")
        assert source.title == "MAE 100epochs seed3"
        assert list(source.citations) == said["citations"]
        assert set(network.state_dict()) == set(source.weights)
        remarks = "\n".join(remarks_on(source, "Dataset001_A", []))
        assert f"It holds: {kind}, method MAE 100epochs seed3; its decoder was trained" in remarks


def test_what_the_decoder_is_follows_from_the_kind_of_file_where_it_does_not_say_so():
    weights = planned_network(geometry="3d").state_dict()
    encoder = {name: value for name, value in weights.items() if name.startswith("encoder.")}
    supervised = {"init_args": {"plans": PLANS}}
    assert source_from({"network_weights": weights, **supervised}).decoder == "skips"
    assert source_from({"network_weights": weights}).decoder is None
    for content in (supervised, {}, {"nnunet_plans": PLANS, "decoder": "skips"}):
        assert source_from({"network_weights": encoder, **content}).decoder == "none"


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_an_nnu_net_checkpoint_is_supervised_pretraining(wrapper):
    network = planned_network(geometry="3d", input_channels=2)
    content = {
        "network_weights": {f"{wrapper}{k}": v for k, v in network.state_dict().items()},
        "trainer_name": "nnUNetTrainer",
        "current_epoch": 1000,
        "init_args": {
            "plans": PLANS,
            "configuration": "3d_fullres",
            "dataset_json": {"channel_names": {"1": "T2", "0": "T1"}},
        },
    }
    source = source_from(content)
    assert (source.kind, source.method) == (NNUNET, "supervised (nnUNetTrainer)")
    assert source.channel_names == ("T1", "T2")
    target = planned_network(geometry="3d", input_channels=2, num_classes=7, seed=3)
    report = transfer_weights(source.weights, target, "encoder_decoder")
    assert not report.adapted and all(".seg_layers." in name for name in report.left)


@pytest.mark.parametrize("prefix", ["", "model."])
def test_an_nnssl_checkpoint_is_read_by_its_adaptation_plan(prefix):
    network = planned_network("ResidualEncoderUNet", "3d")
    weights = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    source = source_from(nnssl_content(weights, prefix))
    assert (source.kind, source.method, source.architecture) == (NNSSL, "MAE", "ResEncL")
    assert source.normalization == ("ZScoreNormalization",) and source.spacing == (1, 1, 1)
    target = planned_network("ResidualEncoderUNet", "3d", input_channels=4, seed=3)
    assert transfer_weights(source.weights, target).encoder_share() == 1
    remarks = "\n".join(remarks_on(source, "Dataset001_A", ["CTNormalization"]))
    assert "WARNING: its images were normalised by ['ZScoreNormalization'], these" in remarks
    assert "another data set, Dataset745_OpenMind" in remarks


def test_an_encoder_of_nnssl_without_decoder_is_enough():
    network = planned_network("ResidualEncoderUNet", "3d")
    weights = {k: v for k, v in network.state_dict().items() if k.startswith("encoder.")}
    weights["projector.weight"] = torch.ones(3, 3)
    source = source_from(nnssl_content(weights))
    report = transfer_weights(source.weights, planned_network("ResidualEncoderUNet", "3d", seed=2))
    assert report.encoder_share() == 1
    assert report.unused == {"projector.weight": (3, 3)}


def test_the_preset_resencl_fits_nnu_nets_resencl_plans_of_fewer_stages():
    imports = ("conv_op", "norm_op", "nonlin")
    network = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    preset = get_network_from_plans(network, RESENC_L, imports, 1, 3)
    per_stage = ("features_per_stage", "strides", "n_blocks_per_stage")
    planned = {key: value[:5] if key in per_stage else value for key, value in RESENC_L.items()}
    planned |= {
        "n_stages": 5,
        "kernel_sizes": [[1, 3, 3], *[[3, 3, 3]] * 4],
        "n_conv_per_stage_decoder": [1] * 4,
    }
    source = source_from(nnssl_content(preset.state_dict()))
    target = get_network_from_plans(network, planned, imports, 4, 3)
    report = transfer_weights(source.weights, target)
    assert report.encoder_share() == 1
    assert report.adapted["encoder.stem.convs.0.conv.weight"] == (
        "kernel (3, 3, 3) -> (1, 3, 3), input channels 1 -> 4, cyclic"
    )


def test_a_transformer_of_nnssl_is_declined_with_its_name():
    content = nnssl_content({"eva.blocks.0.weight": torch.ones(1)}, architecture="PrimusM")
    content["nnssl_adaptation_plan"] |= {"key_to_encoder": "eva", "key_to_stem": "down_projection"}
    with pytest.raises(ValueError, match="nnssl checkpoint of PrimusM .*Use its ResEncL variant"):
        source_from(content)


def test_weights_inside_another_module_are_found():
    weights = planned_network().state_dict()
    source = source_from({"network_weights": {f"net.backbone2.{k}": v for k, v in weights.items()}})
    assert source.kind == UNKNOWN
    assert set(source.weights) == set(weights)


def test_a_u_net_inside_a_backbone_module_is_no_pretraining_checkpoint():
    weights = planned_network().state_dict()
    source = source_from({"network_weights": {f"backbone.{k}": v for k, v in weights.items()}})
    assert (source.kind, source.method) == (UNKNOWN, None)
    assert set(source.weights) == set(weights)


@pytest.mark.parametrize("architecture", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("wrapper", ["", "net."])
def test_weights_are_understood_in_any_order(architecture, wrapper):
    weights = planned_network(architecture, input_channels=3).state_dict()
    for names in (sorted(weights), sorted(weights, reverse=True)):
        ordered = {f"{wrapper}{name}": weights[name] for name in names}
        source = source_from({"network_weights": ordered})
        assert source.num_input_channels == 3
        assert set(source.weights) == set(weights)


def test_weights_of_no_u_net_are_refused_with_their_first_names():
    with pytest.raises(ValueError, match="not those of a U-Net.*first names are conv1.weight"):
        source_from({"network_weights": {"conv1.weight": torch.ones(4, 1, 3, 3)}})


def test_reading_and_telling_apart_work_on_a_file(tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save(nnssl_content(planned_network("ResidualEncoderUNet").state_dict()), path)
    assert read_source(path).kind == NNSSL


@pytest.mark.parametrize(
    ("source", "command"),
    [
        (
            nnssl_content({}),
            "nnUNetv2_plan_experiment -d 2 -pl nnUNetPlannerResEncL, then "
            "nnUNetv2_preprocess -d 2 -plans_name",
        ),
        (
            {"nnunet_plans": PLANS},
            "nnUNetv2_move_plans_between_datasets -s Dataset001_A -t Dataset002_B "
            "-sp nnUNetPlans -tp nnUNetPlans_pretrained, then nnUNetv2_preprocess -d 2 ",
        ),
        ({}, "-p PLANS_OF_THE_PRETRAINING, configuration of the pretraining"),
    ],
)
def test_the_remedy_names_the_plan_and_the_command_that_makes_it(source, command):
    weights = planned_network("ResidualEncoderUNet").state_dict()
    remedy = remedy_for(
        source_from({**source, "network_weights": weights}), "Dataset002_B", "2d", "P"
    )
    assert command in remedy
    assert "nnUNetv2_train Dataset002_B 2d all -tr PCRLv2PretrainTrainer -p P" in remedy


def test_plans_of_the_same_name_are_no_remedy():
    content = {"nnunet_plans": PLANS, "configuration": "3d_fullres"}
    source = source_from({**content, "network_weights": planned_network().state_dict()})
    same = remedy_for(source, "Dataset001_A", "3d_fullres", "nnUNetPlans")
    assert "Or use" not in same and "the same name, but another network" in same
    other = remedy_for(source, "Dataset001_A", "3d_fullres", "P")
    assert "Or use a plan that fits the file: -p nnUNetPlans, configuration 3d_fullres." in other
