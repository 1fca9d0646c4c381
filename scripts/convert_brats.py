"""Converts a download of brats into a raw data set of nnU-Net: see --help."""

from nnunetv2_pcrl.cli.convert import brats

if __name__ == "__main__":
    brats()
