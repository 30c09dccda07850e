"""One training loop, for the book's pages, the labs and `python -m attend.train`. Written by hand.

Everything that chance decides in a step (which windows, what dropout drops) is a function of the seed and
of the step. So a run that was stopped goes on as if it had not been, to the last bit on a CPU, and
several processes (`torchrun`) see together what one process would have seen alone.
"""

import dataclasses
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from attend import checkpoints
from attend.corpus import Corpus
from attend.curves import Curves, Progress
from attend.devices import can_compile, find_device, find_precision, out_of_memory
from attend.optimizers import make_optimizers, rate_factor
from attend.recipes import Settings

__all__ = ["Trainer", "TrainingError", "find_device", "find_precision", "train"]


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


# What may differ when a run goes on, because no number of the steps already made depends on it.
MAY_CHANGE = {"micro_batch", "log_every", "eval_every", "eval_windows", "save_every", "patience"}


class Loss(nn.Module):
    """A model and its loss as one module, so that both are compiled together.

    The logits of a large vocabulary are then never stored in float32.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The mean cross-entropy of inputs and targets (batch, n), in nats per token."""
        return F.cross_entropy(self.model(x).flatten(0, -2).float(), y.flatten())


class Trainer:
    """A model on its way: batches, gradients, updates, curves and checkpoints.

    Args:
        model: maps tokens (batch, n) to logits (batch, n, vocabulary).
        corpus: the text, cut.
        settings: how to train.
        folder: where checkpoints, curves and the best model go; none, and nothing is written.
        device: the one found by default.
        quiet: show no progress.
    """

    def __init__(
        self,
        model: nn.Module,
        corpus: Corpus,
        settings: Settings,
        folder: Path | str | None = None,
        device: torch.device | str | None = None,
        quiet: bool = False,
    ) -> None:
        s = self.settings = settings
        self.corpus, self.folder = corpus, Path(folder) if folder else None
        self.device = torch.device(device) if device else find_device()
        on_gpu = self.device.type == "cuda"
        if "RANK" in os.environ and not dist.is_initialized():  # set by torchrun
            if on_gpu:
                torch.cuda.set_device(self.device)
            dist.init_process_group("nccl" if on_gpu else "gloo")
        together = dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.processes = dist.get_world_size() if together else 1
        if s.batch % self.processes:
            raise ValueError(f"batch {s.batch} cannot be shared by {self.processes} processes")
        self.share = s.batch // self.processes
        self.micro = min(s.micro_batch, self.share)
        if self.share % self.micro:
            raise ValueError(
                f"a process's {self.share} windows cannot be cut into micro-batches of {self.micro}"
            )
        self.plain = model.to(self.device)
        self.model = Loss(self.plain)  # `plain` keeps the names of the weights through all wrappers
        if can_compile(self.device):
            # Sizes are compiled in: there are only those of training and of two validation batches.
            self.model.compile(dynamic=False)
        if together:
            # Buffers are the same everywhere, and in a validation not all processes have as many batches.
            self.model = nn.parallel.DistributedDataParallel(self.model, broadcast_buffers=False)
        self.precision = find_precision(self.device)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.precision == torch.float16)
        self.optimizers = make_optimizers(self.plain, s)
        self.curves, self.step, self.seconds = Curves(), 0, 0.0
        self.best, self.waited = math.inf, 0
        self.unseen: list[torch.Tensor] = []  # losses not yet looked at: looking makes a GPU wait
        self.quiet, self.stop_asked = quiet or self.rank > 0, False

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The mean cross-entropy of inputs and targets (batch, n), in nats per token."""
        half = self.precision != torch.float32  # MPS and the CPU know no autocast to float32
        cast = torch.autocast(self.device.type, self.precision) if half else nullcontext()
        with cast:
            return self.model(self._there(x), self._there(y))

    def _there(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens on the device; a copy from pinned memory need not wait for what the GPU has still to do."""
        if self.device.type == "cuda":
            return tokens.pin_memory().to(self.device, non_blocking=True)
        return tokens.to(self.device)

    def accumulate(self) -> torch.Tensor:
        """Leave the gradient of this step's batch in the parameters; returns this process's mean loss."""
        s, pieces = self.settings, self.share // self.micro
        x, y = self.corpus.batch(s.batch, s.seed, self.step)
        total = torch.zeros((), device=self.device)
        for piece in range(pieces):
            first = self.rank * self.share + piece * self.micro
            rows = slice(first, first + self.micro)
            place = np.random.SeedSequence([s.seed, self.step, self.rank, piece])
            torch.manual_seed(int(place.generate_state(1)[0]))  # for dropout
            waits = self.processes > 1 and piece < pieces - 1  # processes exchange gradients once
            with self.model.no_sync() if waits else nullcontext():
                loss = self.loss(x[rows], y[rows]) / pieces
                self.scaler.scale(loss).backward()
            total += loss.detach()
        return total

    def update(self) -> None:
        """Move the parameters by the gradient that they hold, and forget it."""
        factor = rate_factor(self.step, self.settings)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["highest"] * factor
            self.scaler.unscale_(optimizer)
        overflowed = False
        if self.settings.clip or self.scaler.is_enabled():
            most = self.settings.clip or math.inf
            norm = nn.utils.clip_grad_norm_(self.plain.parameters(), most)
            overflowed = self.scaler.is_enabled() and not norm.isfinite()
        # In float16 a step whose gradient overflowed is left out, and the next loss scaled less. The scaler
        # would leave out only the optimiser whose own gradients did; clipping has spread it to the other.
        if not overflowed:
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        self.scaler.update()
        self.plain.zero_grad(set_to_none=True)

    @torch.no_grad()
    def validate(self) -> float:
        """The mean loss on held-out windows, each process computing its share of them."""
        x, y = self.corpus.held_out(self.settings.eval_windows)
        self.plain.eval()
        total = torch.zeros((), device=self.device)
        for start in range(self.rank, len(x), self.processes * self.micro):
            rows = slice(start, start + self.processes * self.micro, self.processes)
            total += self.loss(x[rows], y[rows]) * len(x[rows])
        self.plain.train()
        return self.mean_over_processes(total).item() * self.processes / len(x)

    def mean_over_processes(self, numbers: torch.Tensor) -> torch.Tensor:
        """The same numbers in every process: their mean."""
        if self.processes > 1:
            dist.all_reduce(numbers)
            numbers /= self.processes
        return numbers

    def look(self) -> float:
        """The mean loss since the last look. Raises where one of them is no number."""
        losses = self.mean_over_processes(torch.stack(self.unseen)).tolist()
        self.unseen.clear()
        for step, loss in enumerate(losses, self.step - len(losses)):
            if not math.isfinite(loss):
                raise TrainingError(self._why_not_finite(step, loss))
        return sum(losses) / len(losses)

    def _why_not_finite(self, step: int, loss: float) -> str:
        s = self.settings
        if step == 0:
            cause = "it was so before any update, so the model or its initial weights are at fault"
        else:
            rates = f"rate {s.rate:g}" + (
                f", matrix_rate {s.matrix_rate:g}" * (s.optimizer == "muon")
            )
            cause = (
                f"most likely the learning rate is too high ({rates}): halve it or lengthen warmup"
            )
        kept = self._kept()
        saved = f"; the checkpoint {kept[-1].name} is from before" if kept else ""
        return f"the loss became {loss} in step {step}; {cause}{saved}"

    def save(self) -> None:
        """Write a checkpoint and the curves."""
        if self.folder is None or self.rank > 0:
            return
        state = {
            "optimizers": [o.state_dict() for o in self.optimizers],
            "scaler": self.scaler.state_dict(),
        }
        record = {**self._identity(), "curves": self.curves.rows, "seconds": self.seconds}
        record |= {"best": self.best, "waited": self.waited}
        checkpoints.save_checkpoint(self.folder, self.step, self.plain, state, record)
        self.curves.save(self.folder)

    def _kept(self) -> list[Path]:
        return checkpoints.checkpoints(self.folder) if self.folder else []

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        settings = dataclasses.asdict(self.settings)
        return {
            "vocabulary": self.corpus.vocabulary.symbols,  # first: the model's size follows from it
            "settings": {name: settings[name] for name in settings.keys() - MAY_CHANGE},
            "model": checkpoints.configuration_of(self.plain),
        }

    def resume(self) -> bool:
        """Go on from the folder's last checkpoint; says whether there was one.

        Raises:
            DamagedFile: it cannot be read.
            TrainingError: it belongs to another run.
        """
        if not (found := self._kept()):
            return False
        weights, state, record = checkpoints.load_checkpoint(found[-1])
        for name, ours in self._identity().items():
            if (theirs := record[name]) != ours:
                raise TrainingError(
                    f"{self.folder} holds another run: {checkpoints.difference(name, theirs, ours)}; "
                    "choose another folder, or give what that run had"
                )
        self.plain.load_state_dict(weights)
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            for group, ours in zip(stored["param_groups"], optimizer.param_groups, strict=True):
                group.update(
                    {"fused": ours["fused"]} if "fused" in ours else {}
                )  # the device's choice
            optimizer.load_state_dict(stored)
        if state["scaler"]:  # there is none where the run began in another precision
            self.scaler.load_state_dict(state["scaler"])
        self.curves, self.seconds = Curves(record["curves"]), record["seconds"]
        self.step, self.best, self.waited = record["step"], record["best"], record["waited"]
        return True

    def run(self) -> Curves:
        """Train until the last step, an early stop, or a signal (Ctrl-C), which leaves a checkpoint.

        Raises:
            TrainingError: memory or disk is full, or the loss is no number.
        """
        self.plain.train()
        try:
            with self._signals():
                self._loop()
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise TrainingError(
                f"out of memory in step {self.step}: lower micro_batch (now {self.micro}; the result stays "
                "the same), and where it is 1 already, the context or the width"
            ) from error
        except OSError as error:
            before = "the one before is whole" if self._kept() else "there is none before it"
            raise TrainingError(
                f"the checkpoint of step {self.step} could not be written to {self.folder} "
                f"({error.strerror}); {before}: make room and run the same command again"
            ) from error
        return self.curves

    def _loop(self) -> None:
        s = self.settings
        if self.folder and self.rank == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
        progress = Progress(s.steps, self.step, self.quiet)
        began, validation = time.perf_counter(), None
        while self.step < s.steps and not (s.patience and self.waited >= s.patience):
            self.unseen.append(self.accumulate())
            self.update()
            self.step += 1
            last = self.step == s.steps or self.stop_asked
            test = self.step % s.eval_every == 0 or self.step == s.steps
            store = self.step % s.save_every == 0 or last
            if not (self.step % s.log_every == 0 or test or store):
                continue
            seen, loss = len(self.unseen), self.look()
            now = time.perf_counter()
            self.seconds += now - began
            tokens = s.batch * self.corpus.context
            speed = seen * tokens / (now - began)
            tested = self._test() if test else None
            validation = tested if test else validation
            self.curves.add(
                step=self.step,
                seconds=round(self.seconds, 3),
                tokens=self.step * tokens,
                training_loss=loss,
                validation_loss=tested,
                bits_per_byte=self.corpus.bits_per_byte(tested) if test else None,
                rate=rate_factor(self.step - 1, s),
            )
            if store or (s.patience and self.waited >= s.patience):
                self.save()
            progress.show(self.curves, self.step, loss, validation, speed)
            began = time.perf_counter()  # validation and saving are not training time
            if self.stop_asked:
                break
        progress.end(self.curves)

    def _test(self) -> float:
        """Validate, and keep the model where it is the best so far."""
        loss = self.validate()
        self.waited = 0 if loss < self.best else self.waited + 1
        if loss < self.best:
            self.best = loss
            if self.folder and self.rank == 0:
                checkpoints.save_model(
                    self.folder / checkpoints.WEIGHTS, self.plain, self.corpus.vocabulary
                )
        return loss

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """A first Ctrl-C or SIGTERM lets the step end and saves; a second one is not caught."""
        if self.processes > 1 or threading.current_thread() is not threading.main_thread():
            yield  # processes that stop in different steps would wait for each other for ever
            return

        def ask(*_: object) -> None:
            self.stop_asked = True
            for number, handler in before.items():
                signal.signal(number, handler)

        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def train(
    model: nn.Module,
    corpus: Corpus,
    settings: Settings,
    folder: Path | str | None = None,
    **options,
) -> Curves:
    """Train a model, going on where the folder holds a checkpoint; returns the curves. See `Trainer`."""
    trainer = Trainer(model, corpus, settings, folder, **options)
    trainer.resume()
    return trainer.run()
