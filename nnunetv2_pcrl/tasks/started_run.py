"""A training that starts from pretrained weights, unless it goes on."""

from abc import ABC, abstractmethod

from nnunetv2_pcrl.training.long_run import LongRun
from nnunetv2_pcrl.weights.atomic import remove_leftovers


class StartedRun(LongRun, ABC):
    """Loads weights into a fresh network before the first step, and never again."""

    def on_train_start(self):
        """Loads the weights, then starts as nnU-Net does."""
        if self.local_rank == 0:
            remove_leftovers(self.output_folder)
        if not self.was_initialized:
            self.initialize()
        if not self._resumed:
            self._start_from_pretrained_weights()
        super().on_train_start()

    @abstractmethod
    def _start_from_pretrained_weights(self) -> None:
        """Finds and loads them, and says what came."""
