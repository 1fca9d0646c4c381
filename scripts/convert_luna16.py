"""Converts a download of luna16 into a raw data set of nnU-Net: see --help."""

from nnunetv2_pcrl.cli.convert import luna16

if __name__ == "__main__":
    luna16()
