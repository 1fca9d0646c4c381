"""PCRLv2 self-supervised pretraining inside nnU-Net v2.

Importing this package must stay free of torch and nnunetv2: PyTorch imports it during
`import torch` to call the entry point in `registration`.
"""

__version__ = "0.2.0"
