"""Makes a small preprocessed data set with plans, as nnU-Net would, for tests of trainers."""

import json
from pathlib import Path

import numpy as np
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

NAME = "Dataset999_Prepared"
ARCHITECTURES = "dynamic_network_architectures.architectures.unet"


def configuration(dim: int, architecture: str = "PlainConvUNet", **changes) -> dict:
    """A configuration of nnU-Net's plans with a tiny network of three stages."""
    blocks = "n_conv_per_stage" if architecture == "PlainConvUNet" else "n_blocks_per_stage"
    name = "nnUNetPlans_2d" if dim == 2 else "nnUNetPlans_3d_fullres"
    return {
        "data_identifier": name,
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [16] * dim,
        "median_image_size_in_voxels": [20.0] * dim,
        "spacing": [1.0] * dim,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1},
        "architecture": {
            "network_class_name": f"{ARCHITECTURES}.{architecture}",
            "arch_kwargs": {
                "n_stages": 3,
                "features_per_stage": [4, 8, 8],
                "conv_op": f"torch.nn.modules.conv.Conv{dim}d",
                "kernel_sizes": [[3] * dim] * 3,
                "strides": [[1] * dim, [2] * dim, [2] * dim],
                blocks: [1, 1, 1],
                "n_conv_per_stage_decoder": [1, 1],
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dim}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
        **changes,
    }


def plans(configurations: dict) -> dict:
    """nnU-Net plans with the given configurations."""
    return {
        "dataset_name": NAME,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [20, 20, 20],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": configurations,
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {"mean": 0.0, "std": 1.0}},
    }


class PreparedDataset:
    """A preprocessed data set below nnU-Net's folders.

    Attributes:
        folder: of the data set in nnUNet_preprocessed.
        plans: as in its plans file.
        dataset_json: as in its dataset.json.
    """

    def __init__(self, preprocessed: Path, configurations: dict, num_channels: int = 1):
        self.folder = preprocessed / NAME
        self.plans = plans(configurations)
        self.dataset_json = {
            "channel_names": {str(c): f"channel{c}" for c in range(num_channels)},
            "labels": {"background": 0, "organ": 1},
            "numTraining": 6,
            "file_ending": ".nii.gz",
        }
        for values in configurations.values():
            values["normalization_schemes"] = ["ZScoreNormalization"] * num_channels
            values["use_mask_for_norm"] = [False] * num_channels
            (self.folder / values["data_identifier"]).mkdir(parents=True, exist_ok=True)
        self._write("nnUNetPlans.json", self.plans)
        self._write("dataset.json", self.dataset_json)
        self._write("dataset_fingerprint.json", {})

    def _write(self, name: str, content: dict) -> None:
        (self.folder / name).write_text(json.dumps(content))

    def data_folder(self, configuration_name: str) -> Path:
        """Folder of the preprocessed cases of a configuration."""
        return self.folder / self.plans["configurations"][configuration_name]["data_identifier"]

    def add_case(self, configuration_name: str, identifier: str, image: np.ndarray) -> None:
        """Adds a case, image [C, D, H, W]; its label is where channel 0 is above 0.5."""
        segmentation = (image[:1] > 0.5).astype(np.int8)
        points = np.argwhere(segmentation > 0)
        for ending in (".b2nd", "_seg.b2nd"):
            (self.data_folder(configuration_name) / f"{identifier}{ending}").unlink(missing_ok=True)
        nnUNetDatasetBlosc2.save_case(
            image.astype(np.float32),
            segmentation,
            {"class_locations": {1: points[:100]}, "spacing": [1.0, 1.0, 1.0]},
            str(self.data_folder(configuration_name) / identifier),
            chunks=image.shape,
            blocks=image.shape,
            clevel=1,
        )

    def trainer(self, trainer_class: type, configuration_name: str, fold="all", resume=False):
        """A trainer on this data set, on the CPU."""

        return trainer_class(
            plans={**json.loads(json.dumps(self.plans)), "continue_training": resume},
            configuration=configuration_name,
            fold=fold,
            dataset_json=self.dataset_json,
            device=torch.device("cpu"),
        )


def smooth_image(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A z-scored image [C, D, H, W] with structure at several scales."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    image = np.stack(
        [
            gaussian_filter(random.normal(size=shape[1:]), 2.0)
            + 0.3 * gaussian_filter(random.normal(size=shape[1:]), 1.0)
            for _ in range(shape[0])
        ]
    )
    return (image - image.mean()) / image.std()


class NotAUNet(torch.nn.Module):
    """An architecture without encoder and decoder."""

    def __init__(self, input_channels: int, num_classes: int, deep_supervision: bool = False):
        super().__init__()
        self.layer = torch.nn.Conv3d(input_channels, num_classes, 1)
