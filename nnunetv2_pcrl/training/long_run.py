"""What every trainer of the package adds to nnU-Net's so that a long run ends well.

It is the only one that trains into its result folder, which is made again if it is removed, and it
does not wait for ranks that hang.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_pcrl.training.folder_lock import ProcessLock, take_folder
from nnunetv2_pcrl.training.rank_watch import RankWatch
from nnunetv2_pcrl.training.writing_errors import is_error_of_writing, why_not_written

_Part = TypeVar("_Part")

GO_ON = "; then go on with --c"


class LongRun(nnUNetTrainer):
    """nnU-Net's trainer, guarded while it trains; validation and prediction are its own."""

    # Whether a checkpoint was loaded.
    _resumed = False
    # While it trains: in the first process, and where there are several.
    _lock: ProcessLock | None = None
    _watch: RankWatch | None = None

    def run_training(self):
        """As nnU-Net, as the only training of its folder.

        Raises:
            ValueError: if another process trains into the folder, naming that one.
        """
        with ExitStack() as guards:
            if self.local_rank == 0:
                self._keep_folder()
                self._lock = take_folder(Path(self.output_folder))
                guards.callback(self._give_folder_back)
            self._watch = RankWatch.of_this_process(self._say_from_any_rank)
            if self._watch is not None:
                guards.enter_context(self._watch)
            super().run_training()

    def train_step(self, batch: dict) -> dict:
        """As nnU-Net."""
        self._begin_step(f"a step of epoch {self.current_epoch}")
        return super().train_step(batch)

    def validation_step(self, batch: dict) -> dict:
        """As nnU-Net."""
        self._begin_step(f"a step of the validation of epoch {self.current_epoch}")
        return super().validation_step(batch)

    def print_to_log_file(self, *args, **kwargs):
        """As nnU-Net, into a folder that is there."""
        self._keep_folder()
        super().print_to_log_file(*args, **kwargs)

    @contextmanager
    def _explained_writing(self, filename: str, remedy: str = GO_ON) -> Iterator[None]:
        """Writes into a folder that is there, and says why a file cannot be written.

        Args:
            filename: what is written, or not at all.
            remedy: the end of the sentence that says so.

        Raises:
            OSError: in the place of errors of writing, with the file and the reason.
        """
        self._keep_folder()
        try:
            yield
        except (OSError, RuntimeError) as error:
            if not is_error_of_writing(error):
                raise
            reason = why_not_written(error, Path(filename).parent)
            raise OSError(
                f"{filename} could not be written, an earlier one stays as it is: {reason}{remedy}"
            ) from error

    def _begin_step(self, name: str) -> None:
        """Tells the other ranks that this one has come so far."""
        if self._watch is not None:
            self._watch.begin_step(name)

    def _marked(self, parts: Iterable[_Part]) -> Iterator[_Part]:
        """The parts of a long step: the other ranks see that this one goes on."""
        for part in parts:
            if self._watch is not None:
                self._watch.mark()
            yield part

    def _say_from_any_rank(self, text: str) -> None:
        print(text, flush=True)
        if self.local_rank == 0:
            self.print_to_log_file(text, also_print_to_console=False)

    def _give_folder_back(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._lock = None

    def _keep_folder(self) -> None:
        """Makes the result folder again if somebody has removed it, and what nnU-Net needs in it.

        Raises:
            ValueError: if another process trains into it meanwhile.
        """
        folder = Path(self.output_folder)
        if self.local_rank != 0 or folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        plans, dataset = self.plans_manager.plans, self.dataset_json
        for name, content in (("plans.json", plans), ("dataset.json", dataset)):
            (folder.parent / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
        super().print_to_log_file(
            f"WARNING: {folder} was removed, and is made again. Checkpoints are written into it at "
            f"the end of this epoch; earlier logs and pictures are gone."
        )
        if self._lock is not None:
            self._lock.release()
            self._lock = take_folder(folder)
