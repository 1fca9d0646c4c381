"""`python -m nnunetv2_pcrl` prints the folder to put into nnUNet_extTrainer by hand.

Needed only where PyTorch's loading of entry points is off (TORCH_DEVICE_BACKEND_AUTOLOAD=0).
"""

from nnunetv2_pcrl.registration import trainer_folder

print(trainer_folder())
