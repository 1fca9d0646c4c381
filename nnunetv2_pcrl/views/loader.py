"""From samples to batches of views.

On a CPU background workers make the views, one image at a time. For a GPU they read the regions,
and `BatchStream` makes the views there, by the same functions; where the views are smaller than
their region, they are made before they travel.
"""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nnunetv2_pcrl.views.samples import RegionSample, ViewSamples

# Schedulers send SIGTERM to every process of a job, terminals send Ctrl-C and their own end, and
# the last step still needs its views.
_TERMINATION = {signal.SIGTERM}
_CAN_WAIT_FOR_SIGNALS = hasattr(signal, "sigwaitinfo")
_BLOCKED = _TERMINATION | ({signal.SIGINT, signal.SIGHUP} if _CAN_WAIT_FOR_SIGNALS else set())


@contextmanager
def _termination_blocked() -> Iterator[None]:
    """Keeps these signals waiting; workers that are started here inherit that."""
    if not _CAN_WAIT_FOR_SIGNALS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_only_with_the_parent(_worker: int) -> None:
    """Lets a worker live on after the signals, unless the process that it serves sent it."""
    if not _CAN_WAIT_FOR_SIGNALS:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)

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


# Largest number that half precision holds.
_LARGEST_HALF = 65504.0


class _Sent(Dataset[RegionSample | dict[str, Any]]):
    """Samples as they travel to a GPU: the region or the views, whichever is less, in half.

    Images are rounded to half precision anyway where the network computes in it; one with values
    that half precision does not hold is sent as it is.
    """

    def __init__(self, samples: ViewSamples, in_half: bool):
        self._samples = samples
        self._in_half = in_half
        # The same for all samples, and known when the first one is made.
        self._bytes_of_views: int | None = None

    def __getitem__(self, number: int) -> RegionSample | dict[str, Any]:
        sample = self._samples.region(number)
        if self._bytes_of_views is None:
            self._bytes_of_views = sum(v.nbytes for v in _made(sample)["views"].values())
        if sample.region.nbytes <= self._bytes_of_views:
            return replace(sample, region=self._rounded(sample.region))
        made = _made(sample)
        views = {name: self._rounded(values) for name, values in made["views"].items()}
        return {**made, "views": views}

    def _rounded(self, values: Tensor) -> Tensor:
        is_held = self._in_half and values.dtype == torch.float32
        return values.half() if is_held and values.abs().max() <= _LARGEST_HALF else values


def _made(sample: RegionSample) -> dict[str, Any]:
    return sample.made(torch.device("cpu"))


class BatchStream:
    """Collects samples into batches, with or without background workers.

    Attributes:
        seconds_waited: time spent waiting for samples since the value was last set to 0.
        views_on_device: whether this process makes the views of regions that are sent to it.
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
        self._iterator: Iterator[RegionSample | dict[str, Any]] | None = None

    @property
    def identifiers(self) -> list[str]:
        """The cases that samples are drawn from."""
        return self._samples.identifiers

    def __iter__(self) -> "BatchStream":
        return self

    def __next__(self) -> dict[str, Any]:
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
        made = (s.made(self._device) if isinstance(s, RegionSample) else s for s in samples)
        return _collected(made, len(samples), self._device)

    def _start(self) -> Iterator[RegionSample | dict[str, Any]]:
        loader = DataLoader(
            _Sent(self._samples, self._device.type == "cuda")
            if self.views_on_device
            else self._samples,
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


def _collected(
    samples: Iterable[dict[str, Any]], batch_size: int, device: torch.device
) -> dict[str, Any]:
    """Writes samples into a batch one by one, so that no image is held twice."""
    batch: dict[str, Any] = {"views": {}, "cases": [], "rejected": []}
    for index, sample in enumerate(samples):
        for name, values in sample["views"].items():
            if name not in batch["views"]:
                shape = (len(values), batch_size, *values.shape[1:])
                # What travelled in half precision goes on in single.
                dtype = torch.float32 if values.dtype == torch.float16 else values.dtype
                batch["views"][name] = torch.empty(shape, dtype=dtype, device=device)
            batch["views"][name][:, index].copy_(values, non_blocking=True)
        batch["cases"].append(sample["case"])
        # The loader makes lists of what were tuples.
        batch["rejected"] += [tuple(pair) for pair in sample["rejected"]]
    return batch
