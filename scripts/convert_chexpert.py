"""Converts a download of chexpert into a raw data set of nnU-Net: see --help."""

from nnunetv2_pcrl.cli.convert import chexpert

if __name__ == "__main__":
    chexpert()
