"""Converts a task of the Medical Segmentation Decathlon: see --help."""

from nnunetv2_pcrl.cli.convert_msd import main

if __name__ == "__main__":
    main()
