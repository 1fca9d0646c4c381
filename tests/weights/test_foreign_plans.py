"""Plans out of a weights file: known networks, modules of torch.nn, and bounded numbers only."""

import copy

import pytest
import torch
from planned_networks import pretraining_network
from prepared_dataset import configuration, plans

from nnunetv2_pcrl.cli import export_weights, inspect_weights
from nnunetv2_pcrl.weights.foreign_plans import KNOWN_NETWORKS, check_architecture

UNET = "dynamic_network_architectures.architectures.unet"
PLANNED = configuration(3)["architecture"]


def changed(**changes) -> dict:
    return {**copy.deepcopy(PLANNED), **changes}


def with_arguments(**changes) -> dict:
    return changed(arch_kwargs={**PLANNED["arch_kwargs"], **changes})


REFUSED = {
    "torch.hub": changed(network_class_name="torch.hub.load"),
    "a builtin": changed(network_class_name="builtins.exec"),
    "a module of the working folder": changed(network_class_name="hubconf.net"),
    "another network of the library": changed(
        network_class_name="dynamic_network_architectures.architectures.primus.Primus"
    ),
    "what a known module imports": changed(network_class_name=f"{UNET}.nn"),
    "a longer path": changed(network_class_name=f"{UNET}.torch.hub.load"),
    "a known name elsewhere": changed(network_class_name="evil.PlainConvUNet"),
    "a bare known name": changed(network_class_name="PlainConvUNet"),
    "a line end after the name": changed(network_class_name=f"{UNET}.PlainConvUNet\n"),
    "no name": changed(network_class_name=None),
    "a list as name": changed(network_class_name=["torch.hub.load"]),
    "no architecture": None,
    "a text as architecture": "torch.hub.load",
    "no arguments": changed(arch_kwargs=None),
    "no imports": changed(_kw_requires_import=None),
    "an import without argument": changed(_kw_requires_import=["conv_op", "repo_or_dir"]),
    "os.system": with_arguments(nonlin="os.system"),
    "torch.hub behind torch.nn": with_arguments(nonlin="torch.nn.modules.conv.torch.hub.load"),
    "a function of torch.nn": with_arguments(nonlin="torch.nn.factory_kwargs"),
    "a package of torch.nn": with_arguments(nonlin="torch.nn.functional"),
    "a module under a wrong path": with_arguments(nonlin="torch.nn.modules.conv.LeakyReLU"),
    "a class that is no module": with_arguments(nonlin="torch.nn.Parameter"),
    "a dunder": with_arguments(nonlin="torch.nn.__builtins__"),
    "a text that is no import": with_arguments(norm_op_kwargs={"eps": "x"}),
    "another argument with a text": with_arguments(repo_or_dir="someone/somewhere"),
    "a stage of endless features": with_arguments(features_per_stage=[10**9] * 3),
    "endlessly many stages": with_arguments(n_stages=10**6),
    "endlessly many blocks": with_arguments(n_conv_per_stage=[10**6] * 3),
    "not a number": with_arguments(norm_op_kwargs={"eps": float("nan")}),
    "infinity": with_arguments(norm_op_kwargs={"eps": float("inf")}),
    "a list without end": with_arguments(strides=[[1, 1, 1]] * 1000),
    "lists in lists": with_arguments(strides=[[[[[[1]]]]]]),
    "a tensor": with_arguments(strides=torch.ones(3)),
}


@pytest.mark.parametrize("architecture", REFUSED.values(), ids=REFUSED)
def test_what_is_not_known_is_refused_with_the_remedy(architecture):
    with pytest.raises(ValueError, match="the plans in the file .* --plans") as error:
        check_architecture(architecture)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", KNOWN_NETWORKS)
def test_what_nnu_net_plans_passes(dim, name):
    check_architecture(configuration(dim, name)["architecture"])


def test_modules_pass_under_both_of_their_names_and_may_be_missing():
    for nonlin in ("torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU", None):
        check_architecture(with_arguments(nonlin=nonlin))


@pytest.fixture
def file(tmp_path):
    """Writes a weights file whose plans want the given architecture."""

    def write(architecture: dict):
        values = {**configuration(3), "architecture": architecture}
        content = {
            "network_weights": pretraining_network(geometry="3d").state_dict(),
            "init_args": {
                "plans": plans({"3d_fullres": values}),
                "configuration": "3d_fullres",
                "dataset_json": {"channel_names": {"0": "CT"}, "labels": {"background": 0}},
            },
        }
        path = tmp_path / "weights.pth"
        torch.save(content, path)
        return path

    return write


def export(path, *more) -> str:
    """The message of an export that is refused."""
    output = path.with_name("out.pth")
    with pytest.raises(SystemExit) as error:
        export_weights.main(["-i", str(path), "-o", str(output), *more])
    assert not output.exists()
    return error.value.code


def test_export_runs_nothing_that_the_plans_in_a_file_name(file, tmp_path, monkeypatch, capsys):
    (tmp_path / "hubconf.py").write_text(
        "import pathlib\n"
        "def net(**options):\n"
        "    pathlib.Path(__file__).with_name('it ran').touch()\n"
        "    raise ValueError('hi')\n"
    )
    options = {"repo_or_dir": str(tmp_path), "model": "net", "source": "local", "trust_repo": True}
    hub = {
        "network_class_name": "torch.hub.load",
        "arch_kwargs": options,
        "_kw_requires_import": [],
    }
    path = file(hub)
    message = export(path)
    assert message.startswith(
        f"ERROR: {path}: the plans in the file want the network 'torch.hub.load'"
    )
    assert not (tmp_path / "it ran").exists()
    # Nobody builds a network to print what a file says.
    inspect_weights.main([str(path)])
    assert "load" in capsys.readouterr().out
    assert not (tmp_path / "it ran").exists()
    with pytest.raises(ValueError, match="hi"):
        torch.hub.load(**options)
    assert (tmp_path / "it ran").exists(), "the file of this test shows nothing"


def test_a_network_beyond_all_bounds_is_not_built(file):
    arguments = {**PLANNED["arch_kwargs"], "features_per_stage": [8192, 8192, 8192]}
    message = export(file(changed(arch_kwargs=arguments)))
    assert "describe a network of " in message and "parameters" in message


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_stages": 2},
        {"conv_op": "torch.nn.Transformer"},
        {"strides": None},
        {"kernel_sizes": [3, 3]},
        {"nonsense": 3},
    ],
    ids=str,
)
def test_plans_from_which_nothing_can_be_built_are_one_line(file, arguments):
    message = export(file(with_arguments(**arguments)))
    assert "nnU-Net builds no network from these plans" in message
    assert "\n" not in message
