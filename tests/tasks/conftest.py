"""nnU-Net's folders in a temporary place, for tests that train."""

import pytest


@pytest.fixture
def nnunet_folders(nnunet_folders, monkeypatch):
    """nnU-Net's folders below tmp_path; batches are made in the test's own process."""
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    monkeypatch.delenv("nnUNet_pcrl_weights", raising=False)
    return nnunet_folders


@pytest.fixture
def preprocessed(nnunet_folders):
    """nnUNet_preprocessed."""
    return nnunet_folders / "nnUNet_preprocessed"
