"""How a self-supervised training is saved, and how it goes on from what was saved."""

from pathlib import Path

import torch

from nnunetv2_pcrl.training.checkpoints import (
    changes_of,
    check_can_go_on,
    checkpoint_of,
    read_checkpoint,
)
from nnunetv2_pcrl.training.learner import Learner
from nnunetv2_pcrl.training.long_run import GO_ON
from nnunetv2_pcrl.weights.atomic import replaced_atomically
from nnunetv2_pcrl.weights.file_names import WEIGHTS_FILE
from nnunetv2_pcrl.weights.portable import write_weights


class SavedRun(Learner):
    """Writes checkpoints, each with the portable file beside it, and reads them."""

    def save_checkpoint(self, filename: str) -> None:
        """The portable file; then nnU-Net's checkpoint plus our settings. Neither is half-written.

        If it cannot be written (a full disk), the training goes on; only the last one must be.
        Other errors come from elsewhere, as that of a worker that died meanwhile: it is written
        all the same, and then they end the training.

        Raises:
            OSError: if the last one cannot be written, with the reason and the remedy.
        """
        self._save(filename, is_epoch_finished=True)

    def _save(self, filename: str, is_epoch_finished: bool) -> bool:
        """Whether it is written, or not for this process to write."""
        is_last = Path(filename).name == "checkpoint_final.pth"
        try:
            with self._explained_writing(filename, GO_ON if is_last else ""):
                self._write_checkpoint(filename, is_epoch_finished)
        except OSError as error:
            if is_last:
                raise
            self.print_to_log_file(f"WARNING: {error}")
            return False
        except RuntimeError:
            self._write_checkpoint(filename, is_epoch_finished)
            raise
        return True

    def _write_checkpoint(self, filename: str, is_epoch_finished: bool) -> None:
        if self.local_rank != 0:
            return
        if self.disable_checkpointing:
            self.print_to_log_file("No checkpoint written, checkpointing is disabled")
            return
        epochs_done = self.current_epoch + is_epoch_finished
        outputs = [] if is_epoch_finished else self._epoch_outputs
        # First the weights: where the last checkpoint is, they are the last ones too.
        if Path(filename).name != "checkpoint_best.pth":
            weights, about = self.portable_weights()
            about = {**about, "epochs_done": epochs_done}
            write_weights(Path(self.output_folder) / WEIGHTS_FILE, weights, about)
        with replaced_atomically(filename) as temporary:
            torch.save(checkpoint_of(self, epochs_done, outputs, self.described()), temporary)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Resumes, and says which settings were changed since the checkpoint.

        Raises:
            ValueError: if the training cannot go on from the file, with the reason and the remedy.
        """
        stored = read_checkpoint(filename_or_checkpoint)
        if not self.was_initialized:
            self.initialize()
        check_can_go_on(
            filename_or_checkpoint,
            stored,
            type(self).__name__,
            self.network.state_dict(),
            self.optimizer.state_dict(),
        )
        with self._without_reducer():
            # It has been read without running anything; nnU-Net takes no content, but the file.
            super().load_checkpoint(filename_or_checkpoint)
        self._resumed = True
        self._fill_log(self.current_epoch)
        # The optimiser's state brings its own numbers; changed settings shall count.
        as_set = self.make_optimizer().param_groups
        for group, wanted in zip(self.optimizer.param_groups, as_set, strict=True):
            group.update({k: v for k, v in wanted.items() if k not in ("params", "lr")})
        self._begin_epoch_with(list(stored["epoch_outputs"]))
        for change in changes_of(stored["settings"], self.settings.as_plain()):
            self.print_to_log_file(f"WARNING: {change}; going on with it")
