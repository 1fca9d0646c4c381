"""From samples to batches of views.

On a CPU background workers make the views, one image at a time. For a GPU they only read the
regions, and `BatchStream` makes the views there, by the same functions.
"""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader, Dataset

from nnunetv2_pcrl.views.samples import RegionSample, ViewSamples

# Schedulers send SIGTERM to every process of a job, and the last step still needs its views.
_TERMINATION = {signal.SIGTERM}
_CAN_WAIT_FOR_SIGNALS = hasattr(signal, "sigwaitinfo")


@contextmanager
def _termination_blocked() -> Iterator[None]:
    """Keeps SIGTERM waiting; workers that are started here inherit that."""
    if not _CAN_WAIT_FOR_SIGNALS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINATION)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_only_with_the_parent(_worker: int) -> None:
    """Lets a worker live on after SIGTERM, unless the process that it serves sent it."""
    if not _CAN_WAIT_FOR_SIGNALS:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINATION)

    def wait() -> None:
        while signal.sigwaitinfo(_TERMINATION).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def _explained(error: Exception) -> Exception:
    """Turns every sign of a dead worker into one error that says what to do.

    Which sign comes first is chance: the loader's own notice, or a connection that breaks. An
    error that a worker merely reports is left as it is.
    """
    is_reported = "Caught " in str(error)
    is_notice = "DataLoader worker (pid" in str(error)
    if is_reported or (isinstance(error, RuntimeError) and not is_notice):
        return error
    return RuntimeError(
        f"A background worker that makes views died ({error}). Most often the machine had no "
        f"memory left: use fewer workers (environment variable nnUNet_n_proc_DA), and go on "
        f"with --c."
    )


class _Regions(Dataset):
    """The samples of which the views are not yet made."""

    def __init__(self, samples: ViewSamples):
        self._samples = samples

    def __getitem__(self, number: int) -> RegionSample:
        return self._samples.region(number)


class BatchStream:
    """Collects samples into batches, with or without background workers.

    Attributes:
        seconds_waited: time spent waiting for samples since the value was last set to 0.
        views_on_device: whether this process makes the views.
    """

    def __init__(
        self,
        samples: ViewSamples,
        num_workers: int,
        device: torch.device,
        views_on_device: bool | None = None,
    ):
        """Starts no worker yet; the first batch does.

        Args:
            samples: makes the samples.
            num_workers: background workers, 0 to work in this process.
            device: where batches are wanted.
            views_on_device: whether this process makes the views, on the device, from regions
                that the workers read, rather than the workers; by default on a GPU.
        """
        self.seconds_waited = 0.0
        self._samples = samples
        self._num_workers = num_workers
        self._device = device
        self.views_on_device = device.type == "cuda" if views_on_device is None else views_on_device
        self._iterator: Iterator | None = None

    @property
    def identifiers(self) -> list[str]:
        """The cases that samples are drawn from."""
        return self._samples.identifiers

    def __iter__(self):
        return self

    def __next__(self) -> dict:
        """The next batch.

        Returns:
            `views` (tensors by name, each [views, B, ...]), `cases` (B identifiers) and
            `rejected` (list of (identifier, reason)).

        Raises:
            RuntimeError: if no usable case was found for a sample, or a worker died.
        """
        begin = time.perf_counter()
        if self._iterator is None:
            self._iterator = self._start()
        try:
            samples = list(itertools.islice(self._iterator, len(self._samples.places)))
        except (RuntimeError, OSError, EOFError) as error:
            if self._num_workers == 0:
                raise
            # The frames of the traceback hold the loader. Without them its workers end now, and
            # not when Python next looks for cycles, which would then wait 5 s for each of them.
            error.with_traceback(None)
            self.close()
            raise _explained(error) from None
        self.seconds_waited += time.perf_counter() - begin
        if self.views_on_device:
            return _collected((s.made(self._device) for s in samples), len(samples), self._device)
        return _collected(samples, len(samples), self._device)

    def _start(self) -> Iterator:
        loader = DataLoader(
            _Regions(self._samples) if self.views_on_device else self._samples,
            batch_size=None,
            sampler=self._samples.numbers(),
            num_workers=self._num_workers,
            worker_init_fn=_end_only_with_the_parent,
            pin_memory=self._device.type == "cuda",
            # A generator of its own, so that the global one is left as it is.
            generator=torch.Generator(),
        )
        with _termination_blocked():
            return iter(loader)

    def close(self) -> None:
        """Ends the workers. A later batch would begin the stream anew."""
        self._iterator = None


def _collected(samples: Iterable[dict], batch_size: int, device: torch.device) -> dict:
    """Writes samples into a batch one by one, so that no image is held twice."""
    batch: dict = {"views": {}, "cases": [], "rejected": []}
    for index, sample in enumerate(samples):
        for name, values in sample["views"].items():
            if name not in batch["views"]:
                shape = (len(values), batch_size, *values.shape[1:])
                batch["views"][name] = values.new_empty(shape, device=device)
            batch["views"][name][:, index].copy_(values, non_blocking=True)
        batch["cases"].append(sample["case"])
        # The loader makes lists of what were tuples.
        batch["rejected"] += [tuple(pair) for pair in sample["rejected"]]
    return batch
