"""nnU-Net's folders in a temporary place, for tests that train."""

import pytest


@pytest.fixture
def nnunet_folders(tmp_path, monkeypatch):
    """nnU-Net's folders below tmp_path; batches are made in the test's own process."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    monkeypatch.delenv("nnUNet_pcrl_weights", raising=False)
    return tmp_path
