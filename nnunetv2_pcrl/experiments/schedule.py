"""Runs what is left of a grid, several trainings at a time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from nnunetv2_pcrl.experiments.commands import TrainingOptions, command_of
from nnunetv2_pcrl.experiments.grid import PlannedRun
from nnunetv2_pcrl.experiments.interruption import Interruption
from nnunetv2_pcrl.experiments.locks import RunLock
from nnunetv2_pcrl.experiments.processes import LOG_NAME, Training, train_program
from nnunetv2_pcrl.experiments.progress import Progress
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.experiments.states import Job, State, check_weights, jobs_left, state_of

# A pretraining ends after its current step; one on a CPU may last.
PATIENCE_S = 120.0


@dataclass
class Outcome:
    """What became of the trainings that were not finished at the start.

    Attributes:
        failed: reasons by training.
        elsewhere: trainings that another experiment runs, and who.
        left: trainings that an interruption left.
        exit_status: 0 if nothing failed and nobody interrupted.
    """

    failed: dict[PlannedRun, str] = field(default_factory=dict)
    elsewhere: dict[PlannedRun, str] = field(default_factory=dict)
    left: list[PlannedRun] = field(default_factory=list)
    exit_status: int = 0


@dataclass
class _Running:
    job: Job
    training: Training
    lock: RunLock


class Schedule:
    """Starts trainings in the order of the grid, as soon as they can start.

    A training waits for its pretraining, wherever that runs; what another experiment runs is left
    to it.
    """

    def __init__(
        self,
        grid: Sequence[PlannedRun],
        options: TrainingOptions,
        num_jobs: int = 1,
        poll_s: float = 1.0,
    ):
        """Starts nothing yet.

        Args:
            grid: see `build_grid`.
            options: of all trainings.
            num_jobs: trainings at a time.
            poll_s: seconds between two looks at the trainings.

        Raises:
            ValueError: if there is no nnUNetv2_train.
        """
        self._program = train_program()
        self._options = options
        self._num_jobs = num_jobs
        self._poll_s = poll_s
        self._pending = [job.planned for job in jobs_left(grid, options.dataset_results)]
        self._running: list[_Running] = []
        self._awaited: set[TrainingRun] = set()
        self._outcome = Outcome()
        done = [run for run in grid if self._state(run) is State.FINISHED]
        self._progress = Progress(len(done) + len(self._pending), len(done), num_jobs)

    def run(self) -> Outcome:
        """Runs all that can be run; Ctrl-C or SIGTERM ends the trainings."""
        with Interruption() as interruption:
            try:
                while not interruption.count:
                    self._collect_ended()
                    self._start_what_can()
                    if not self._running and not self._is_pretraining_awaited():
                        break
                    time.sleep(self._poll_s)
            finally:
                # An error of ours leaves no training behind either.
                self._end_all(interruption)
        if interruption.count:
            self._outcome.exit_status = interruption.exit_status
            self._outcome.left = [p for p in self._pending if self._state(p) is not State.FINISHED]
            return self._outcome
        self._outcome.elsewhere = {
            run: self._lock(run).holder()
            for run in self._pending
            if self._state(run) is not State.FINISHED
        }
        self._outcome.exit_status = 1 if self._outcome.failed else 0
        return self._outcome

    def _state(self, planned: PlannedRun) -> State:
        return state_of(planned, self._options.dataset_results)

    def _lock(self, planned: PlannedRun) -> RunLock:
        return RunLock(planned.run, self._options.dataset_results)

    def _start_what_can(self) -> None:
        for planned in list(self._pending):
            if len(self._running) >= self._num_jobs:
                return
            pretraining = self._unfinished_pretraining(planned)
            if pretraining is None:
                self._start(planned)
            elif pretraining in self._outcome.failed:
                self._pending.remove(planned)
                self._fail(planned, f"not started, its pretraining failed ({pretraining})")
            elif pretraining not in [*self._pending, *(r.job.planned for r in self._running)]:
                # Its files were removed in the meantime.
                self._pending.insert(0, pretraining)

    def _unfinished_pretraining(self, planned: PlannedRun) -> PlannedRun | None:
        """What a training has to wait for."""
        if planned.weights_of is None or self._state(planned) is not State.MISSING:
            return None
        pretraining = PlannedRun(planned.weights_of)
        return None if self._state(pretraining) is State.FINISHED else pretraining

    def _is_pretraining_awaited(self) -> bool:
        """Whether trainings wait for a pretraining that another experiment runs."""
        awaited = {self._unfinished_pretraining(planned) for planned in self._pending} - {None}
        for pretraining in awaited:
            if pretraining.run not in self._awaited:
                self._awaited.add(pretraining.run)
                holder = self._lock(pretraining).holder()
                self._progress.tell(f"waiting for {pretraining}, which is run by {holder}")
        return bool(awaited)

    def _start(self, planned: PlannedRun) -> None:
        lock = self._lock(planned)
        if not lock.acquire():
            return
        self._pending.remove(planned)
        # Another experiment may have run it since the last look, and with other weights.
        try:
            check_weights([planned], self._options.dataset_results)
        except ValueError as error:
            lock.release()
            self._fail(planned, str(error))
            return
        state = self._state(planned)
        if state is State.FINISHED:
            lock.release()
            self._progress.num_done += 1
            self._progress.tell(f"{planned} was finished by another experiment")
            return
        job = Job(planned, state)
        log = planned.run.folder(self._options.dataset_results) / LOG_NAME
        command = command_of(job, self._options)
        try:
            training = Training(command, self._program, log, lock.descriptor)
        except OSError as error:
            lock.release()
            self._fail(planned, f"could not be started: {error}")
            return
        self._running.append(_Running(job, training, lock))
        how = {State.INTERRUPTED: "resumed", State.NOT_VALIDATED: "validation started"}
        self._progress.tell(f"{planned} {how.get(state, 'started')}, log: {log}")

    def _collect_ended(self) -> None:
        for running in list(self._running):
            status = running.training.exit_status()
            if status is None:
                continue
            self._running.remove(running)
            running.lock.release()
            planned, seconds = running.job.planned, running.training.seconds
            if status == 0 and self._state(planned) is State.FINISHED:
                if running.job.state is State.MISSING:
                    self._progress.measured(planned.run.trainer, seconds)
                self._progress.num_done += 1
                self._progress.tell(
                    f"{planned} finished in {_duration_text(seconds)}, {self._time_left()}"
                )
                continue
            reason = f"exit status {status}" if status else "ended without its results"
            reason += f", log: {running.training.log}"
            self._fail(planned, reason, running.training.last_lines())

    def _time_left(self) -> str:
        waiting = [planned.run.trainer for planned in self._pending]
        running = [(r.job.planned.run.trainer, r.training.seconds) for r in self._running]
        return self._progress.time_left(waiting, running)

    def _fail(self, planned: PlannedRun, reason: str, output: Sequence[str] = ()) -> None:
        self._outcome.failed[planned] = reason
        self._progress.tell("\n    ".join([f"{planned} FAILED: {reason}", *output]))

    def _end_all(self, interruption: Interruption) -> None:
        """Asks all trainings to end; a second request, or too long a wait, kills them."""
        for running in self._running:
            running.training.ask_to_end()
        # Afterwards, because it fails where the terminal is gone.
        if self._running:
            self._progress.tell(
                f"stopping the trainings ({len(self._running)}), which may save their state first; "
                f"Ctrl-C again kills them"
            )
        deadline = time.monotonic() + PATIENCE_S
        while None in [r.training.exit_status() for r in self._running]:
            if interruption.count > 1 or time.monotonic() > deadline:
                for running in self._running:
                    running.training.kill()
            time.sleep(self._poll_s)
        for running in self._running:
            running.lock.release()
            self._pending.insert(0, running.job.planned)
        self._running.clear()


def _duration_text(seconds: float) -> str:
    hours, minutes = divmod(round(seconds) // 60, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes or hours else ""]
    return " ".join([*filter(None, parts), f"{round(seconds) % 60} s"])
