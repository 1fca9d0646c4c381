"""Names that say where weights lie and come from, for programs that read none of them."""

# What a pretraining leaves in its result folder: the portable file.
WEIGHTS_FILE = "pretrained_weights.pth"
# What a training that started from weights says about it, in its result folder.
TRANSFER_REPORT = "transfer_report.json"
# Environment variable that names the weights to start from.
WEIGHTS_VARIABLE = "nnUNet_pcrl_weights"
