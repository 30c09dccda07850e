"""The training loop: batches, updates, exact resume, and every way in which a run can go wrong."""

import csv
import dataclasses
import errno
import json
import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attend import checkpoints, training
from attend.checkpoints import DamagedFile, load_model
from attend.corpus import Corpus
from attend.curves import Curves, Progress
from attend.optimizers import Muon, make_optimizers, orthogonalised, parameter_groups, rate_factor
from attend.recipes import RECIPES, Settings
from attend.training import Trainer, TrainingError
from torch import nn

from tests.book.small_runs import SHORT, TEXT, assert_same_run, trainer_of, weights

pytest.importorskip(
    "safetensors", reason="the Python package safetensors is absent: run `make env`"
)


class TestSchedule:
    def test_cosine_at_its_corners(self):
        s = Settings(steps=110, warmup=10, floor=0.1, schedule="cosine")
        factors = [rate_factor(step, s) for step in range(110)]
        assert factors[0] == 0.1 and factors[9] == 1
        assert factors[59] == pytest.approx(0.55)  # half way down
        assert factors[-1] == pytest.approx(0.1)
        assert all(np.diff(factors[:10]) > 0) and all(np.diff(factors[9:]) < 0)

    def test_stable_at_its_corners(self):
        s = Settings(steps=100, warmup=10, floor=0.0, decay=0.4, schedule="stable")
        factors = [rate_factor(step, s) for step in range(100)]
        assert factors[0] == 0.1 and factors[9:60] == [1] * 51
        assert factors[79] == pytest.approx(0.5) and factors[60] < 1 and factors[-1] == 0
        assert np.allclose(np.diff(factors[60:]), -1 / 40)

    def test_no_warmup_and_one_step(self):
        assert rate_factor(0, Settings(steps=1, warmup=0, floor=0.2)) == pytest.approx(0.2)
        assert rate_factor(0, Settings(steps=1, warmup=1)) == 1

    def test_an_unknown_one_is_named(self):
        with pytest.raises(ValueError, match="schedule is 'line'"):
            rate_factor(200, Settings(schedule="line"))

    def test_it_drives_every_group(self):
        trainer = trainer_of(rate=0.01, matrix_rate=0.03)
        trainer.accumulate()
        trainer.update()
        rates = [group["lr"] for o in trainer.optimizers for group in o.param_groups]
        assert rates == pytest.approx([0.01, 0.01 / 3], rel=1e-9) or rates == pytest.approx(
            [0.01, 0.01 / 3]
        )


class TestGroups:
    def test_only_matrices_decay(self):
        model = trainer_of(name="gpt2").plain
        matrices, rest = map(set, parameter_groups(model))
        for name, parameter in model.named_parameters():
            decays = name.endswith("weight") and ("attention." in name or "feed_forward." in name)
            assert (parameter in matrices) == decays and (parameter in rest) != decays, name

    @pytest.mark.parametrize("tied", [True, False])
    @pytest.mark.parametrize("name", RECIPES)
    def test_each_parameter_is_moved_by_one_optimizer(self, name, tied):
        trainer = trainer_of(name=name, tied=tied)
        groups = [group for o in trainer.optimizers for group in o.param_groups]
        moved = [id(p) for group in groups for p in group["params"]]
        assert sorted(moved) == sorted(map(id, trainer.plain.parameters()))

    def test_muon_gets_neither_embedding_nor_output(self):
        trainer = trainer_of(tied=False)
        muon = {id(p) for p in trainer.optimizers[0].param_groups[0]["params"]}
        names = {name for name, p in trainer.plain.named_parameters() if id(p) in muon}
        assert len(names) == 12 and all(name.startswith("blocks.") for name in names)

    def test_decay_without_gradient_shrinks_matrices_only(self):
        trainer = trainer_of(name="gpt2", rate=0.1, weight_decay=0.5, warmup=0, schedule="stable")
        before = weights(trainer)
        for parameter in trainer.plain.parameters():
            parameter.grad = torch.zeros_like(parameter)
        trainer.update()
        for name, tensor in weights(trainer).items():
            decays = tensor.ndim == 2 and name not in ("embedding.weight", "positions.weight")
            torch.testing.assert_close(tensor, before[name] * (0.95 if decays else 1))

    def test_an_unknown_optimizer_is_named(self):
        with pytest.raises(ValueError, match="optimizer is 'sgd'"):
            make_optimizers(nn.Linear(2, 2), Settings(optimizer="sgd"))


class TestMuon:
    @pytest.mark.parametrize("shape", [(8, 8), (5, 16), (16, 5)])
    def test_updates_are_nearly_orthogonal(self, shape):
        torch.manual_seed(0)
        x = torch.randn(3, *shape)
        values = torch.linalg.svdvals(orthogonalised(x))
        assert values.min() > 0.6 and values.max() < 1.3
        left, _, right = torch.linalg.svd(x, full_matrices=False)
        cosine = F.cosine_similarity(orthogonalised(x).flatten(1), (left @ right).flatten(1))
        assert cosine.min() > 0.97  # the singular vectors are kept

    def test_batched_is_one_by_one(self):
        torch.manual_seed(0)
        x = torch.randn(4, 6, 9)
        single = torch.stack([orthogonalised(matrix) for matrix in x])
        torch.testing.assert_close(orthogonalised(x), single, atol=0.02, rtol=0)  # bfloat16 on some

    def test_it_equals_the_librarys(self):
        if not hasattr(torch.optim, "Muon"):
            pytest.skip("this PyTorch has no Muon")
        torch.manual_seed(0)
        ours = [nn.Parameter(torch.randn(shape)) for shape in [(6, 9), (9, 6), (6, 9), (24, 6)]]
        theirs = [nn.Parameter(matrix.detach().clone()) for matrix in ours]
        optimizers = (
            Muon(ours, lr=0.1, momentum=0.9, weight_decay=0.2),
            torch.optim.Muon(theirs, lr=0.1, momentum=0.9, weight_decay=0.2),
        )
        for _ in range(3):
            for one, other in zip(ours, theirs, strict=True):
                one.grad = other.grad = torch.randn(one.shape)
            for optimizer in optimizers:
                optimizer.step()
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(
                one, other, atol=0.01, rtol=0
            )  # the library's is in bfloat16


class TestStep:
    @pytest.mark.parametrize("micro_batch", [1, 2, 4])
    def test_accumulation_equals_the_big_batch(self, micro_batch):
        whole, pieces = trainer_of(batch=8, dropout=0.0), None
        pieces = trainer_of(batch=8, dropout=0.0, micro_batch=micro_batch)
        losses = [trainer.accumulate() for trainer in (whole, pieces)]
        torch.testing.assert_close(*losses)
        for one, other in zip(whole.plain.parameters(), pieces.plain.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-4)

    def test_the_loss_is_the_mean_over_the_batchs_targets(self):
        trainer = trainer_of(dropout=0.0, micro_batch=2)
        x, y = trainer.corpus.batch(4, 0, 0)
        logs = F.log_softmax(trainer.plain(x), dim=-1)
        expected = -np.mean([logs[i, j, y[i, j]].item() for i in range(4) for j in range(6)])
        assert trainer.accumulate().item() == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize(("clip", "norm"), [(0.5, 0.5), (1e6, 6.0), (0, 6.0)])
    def test_clipping(self, clip, norm):
        """Seen where the update is the gradient: gradient descent at rate 1."""
        trainer = trainer_of(clip=clip, warmup=0, schedule="stable")
        size = math.sqrt(sum(p.numel() for p in trainer.plain.parameters()))
        for parameter in trainer.plain.parameters():
            parameter.grad = torch.full_like(parameter, 6.0 / size)  # the norm over all is 6
        trainer.optimizers = [torch.optim.SGD(trainer.plain.parameters(), lr=1.0)]
        trainer.optimizers[0].param_groups[0]["highest"] = 1.0
        before = weights(trainer)
        trainer.update()
        moved = sum(
            (tensor - before[name]).square().sum() for name, tensor in weights(trainer).items()
        )
        assert moved.sqrt().item() == pytest.approx(norm, rel=1e-3)

    def test_a_batch_that_cannot_be_cut_is_refused(self):
        with pytest.raises(ValueError, match="4 windows cannot be cut into micro-batches of 3"):
            trainer_of(micro_batch=3)

    def test_the_validation_loss_is_the_mean_over_all_windows(self):
        trainer = trainer_of(micro_batch=2, eval_windows=5)
        x, y = trainer.corpus.held_out(5)
        trainer.plain.eval()
        expected = F.cross_entropy(trainer.plain(x).flatten(0, 1), y.flatten()).item()
        trainer.plain.train()
        assert trainer.validate() == pytest.approx(expected, rel=1e-5)
        assert trainer.plain.training

    @pytest.mark.parametrize("name", RECIPES)
    def test_it_learns(self, name):
        trainer = trainer_of(name=name, steps=80, eval_every=80, rate=0.01, dropout=0.0)
        curves = trainer.run()
        assert curves.rows[0]["training_loss"] > 2.3
        assert curves.rows[-1]["training_loss"] < 1.7 and trainer.best < 1.8

    def test_a_model_without_configuration_can_be_trained(self, tmp_path):
        cut = Corpus(TEXT, 6)
        model = nn.Sequential(
            nn.Embedding(len(cut.vocabulary), 8), nn.Linear(8, len(cut.vocabulary))
        )
        training.train(model, cut, Settings(**SHORT), tmp_path, device="cpu", quiet=True)
        assert (tmp_path / "model.safetensors").is_file()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> dict[str, Trainer]:
    runs = {}
    for name in RECIPES:
        runs[name] = trainer_of(tmp_path_factory.mktemp(name), name)
        runs[name].run()
    return runs


class Killed(BaseException):
    """What no handler of the loop catches."""


class TestResume:
    @pytest.mark.parametrize("at", [0, 2, 3, 7, 10])
    @pytest.mark.parametrize("name", RECIPES)
    def test_killed_at_a_step_it_goes_on_exactly(
        self, name, at, tmp_path, uninterrupted, monkeypatch
    ):
        def dies(self):
            if self.step == at:
                raise Killed
            update(self)

        update = Trainer.update
        monkeypatch.setattr(Trainer, "update", dies)
        with pytest.raises(Killed):
            trainer_of(tmp_path, name).run()
        monkeypatch.undo()

        again = trainer_of(tmp_path, name)
        torch.manual_seed(99)  # the state of chance is not what the run depends on
        assert again.resume() == (at >= 3) and again.step == at // 3 * 3
        again.run()
        assert_same_run(again, uninterrupted[name])

    @pytest.mark.parametrize(
        ("file", "how", "kept"),
        [
            ("model", "begun", 3),
            ("optimizers", "half", 3),
            ("record", "whole", 3),
            ("folder", "not yet renamed", 3),
            ("folder", "renamed", 6),
        ],
    )
    def test_sigkill_while_a_checkpoint_is_written(self, file, how, kept, tmp_path, uninterrupted):
        code = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from attend import checkpoints
sys.path.insert(0, {str(Path(__file__).parent)!r})
from small_runs import trainer_of

write = checkpoints.write_durably
def dies(path, content):
    if path.parent.name == "step-00000006.tmp" and path.stem == {file!r}:
        write(path, content[:{{"begun": 0, "half": len(content) // 2, "whole": len(content)}}[{how!r}]])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)

rename = checkpoints._rename
def dies_too(temporary, final):
    last = {file!r} == "folder" and temporary.name == "step-00000006.tmp"
    if not last or {how!r} == "renamed":
        rename(temporary, final)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoints.write_durably, checkpoints._rename = dies, dies_too
trainer_of({str(tmp_path)!r}).run()
"""
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert process.returncode == -signal.SIGKILL, process.stderr.decode()
        assert (tmp_path / "step-00000006.tmp").is_dir() == (kept == 3)

        again = trainer_of(tmp_path)
        assert again.resume() and again.step == kept
        again.run()
        assert_same_run(again, uninterrupted["modern"])
        assert not list(tmp_path.glob("*.tmp"))

    def test_ctrl_c_ends_the_step_and_saves(self, tmp_path, uninterrupted, monkeypatch):
        def pressed(self):
            if self.step == 4:
                os.kill(os.getpid(), signal.SIGINT)
            update(self)

        update = Trainer.update
        before = signal.getsignal(signal.SIGINT)
        monkeypatch.setattr(Trainer, "update", pressed)
        trainer_of(tmp_path).run()
        monkeypatch.undo()
        assert signal.getsignal(signal.SIGINT) is before
        assert checkpoints.checkpoints(tmp_path)[-1].name == "step-00000005"
        again = trainer_of(tmp_path)
        again.resume()
        again.run()
        for name, tensor in weights(uninterrupted["modern"]).items():
            assert torch.equal(weights(again)[name], tensor), name

    def test_a_finished_run_is_left_as_it_is(self, uninterrupted):
        folder = uninterrupted["modern"].folder
        again = trainer_of(folder)
        assert again.resume() and again.step == 11
        assert_same_run(again, uninterrupted["modern"])
        again.run()
        assert_same_run(again, uninterrupted["modern"])

    def test_two_checkpoints_are_kept_and_the_best_model(self, uninterrupted):
        run = uninterrupted["modern"]
        assert [path.name for path in checkpoints.checkpoints(run.folder)] == [
            "step-00000009",
            "step-00000011",
        ]
        model, vocabulary = load_model(run.folder / "model.safetensors")
        assert model.configuration == run.plain.configuration
        assert vocabulary.symbols == run.corpus.vocabulary.symbols
        ours = trainer_of()
        ours.plain.load_state_dict(model.state_dict())
        assert ours.validate() == pytest.approx(run.best, rel=1e-6)

    @pytest.mark.parametrize("file", ["model.safetensors", "optimizers.pt", "record.json"])
    @pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
    def test_a_damaged_checkpoint_is_named_and_the_one_before_is_there(
        self, file, damage, tmp_path, uninterrupted
    ):
        trainer_of(tmp_path).run()
        path = checkpoints.checkpoints(tmp_path)[-1] / file
        content = path.read_bytes()
        if damage == "gone":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(content[: len(content) // 2])
        else:
            at = len(content) // 2 if file != "record.json" else content.index(b'"sha256"') + 35
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        again = trainer_of(tmp_path)
        with pytest.raises(
            DamagedFile, match=r"step-00000011 is damaged .* delete that folder"
        ) as error:
            again.resume()
        assert "\n" not in str(error.value)
        for part in path.parent.iterdir():
            part.unlink()
        path.parent.rmdir()
        assert again.resume() and again.step == 9
        again.run()
        assert_same_run(again, uninterrupted["modern"])

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                {"text": TEXT + "Zebra! " * 8},
                r"its vocabulary has \d+ symbols, not \d+ \(new: '!Z.*'\)",
            ),
            ({"width": 16}, "its width is 12, not 16"),
            ({"seed": 5}, "its seed is 0, not 5"),
        ],
    )
    def test_another_run_is_not_mixed_in(self, change, sentence, uninterrupted):
        trainer = trainer_of(uninterrupted["modern"].folder, **change)
        with pytest.raises(TrainingError, match=sentence):
            trainer.resume()

    def test_a_smaller_micro_batch_may_go_on(self, tmp_path):
        trainer_of(tmp_path).run()
        assert trainer_of(tmp_path, micro_batch=1, save_every=1).resume()


class TestTrouble:
    def test_early_stop_keeps_the_best(self, tmp_path, monkeypatch):
        losses = iter([3.0, 2.0, 2.5, 2.4, 1.0])
        monkeypatch.setattr(Trainer, "validate", lambda self: next(losses))
        trainer = trainer_of(tmp_path, patience=2, eval_every=1)
        trainer.run()
        assert trainer.step == 4 and trainer.best == 2.0
        assert checkpoints.checkpoints(tmp_path)[-1].name == "step-00000004"

    def test_a_loss_that_is_no_number_stops_with_step_and_cause(self, tmp_path):
        trainer = trainer_of(tmp_path, rate=0.5)
        loss = trainer.loss
        trainer.loss = lambda x, y: loss(x, y) * (math.nan if trainer.step == 7 else 1)
        with pytest.raises(
            TrainingError, match=r"became nan in step 7; .*rate 0.5.*step-00000006"
        ) as e:
            trainer.run()
        assert "\n" not in str(e.value)
        again = trainer_of(tmp_path, rate=0.5)
        again.resume()
        assert all(tensor.isfinite().all() for tensor in weights(again).values())

    def test_a_loss_that_never_was_a_number_is_not_the_rates_fault(self):
        trainer = trainer_of()
        with torch.no_grad():
            trainer.plain.embedding.weight[:] = math.inf
        with pytest.raises(TrainingError, match="nan in step 0; it was so before any update"):
            trainer.run()

    @pytest.mark.parametrize(
        "error",
        [
            torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            MemoryError(),
        ],
    )
    def test_out_of_memory_names_the_setting(self, error, monkeypatch):
        def fails(self, x, y):
            raise error

        monkeypatch.setattr(Trainer, "loss", fails)
        with pytest.raises(TrainingError, match=r"step 0: lower micro_batch \(now 2;") as e:
            trainer_of(micro_batch=2).run()
        assert "\n" not in str(e.value)

    def test_other_errors_are_not_hidden(self, monkeypatch):
        def fails(self, x, y):
            raise RuntimeError("shapes")

        monkeypatch.setattr(Trainer, "loss", fails)
        with pytest.raises(RuntimeError, match=r"^shapes$"):
            trainer_of().run()

    def test_a_full_disk_loses_nothing(self, tmp_path, monkeypatch, uninterrupted):
        write = checkpoints.write_durably

        def full(path, content):
            if path.parent.name == "step-00000006.tmp" and path.suffix == ".pt":
                write(path, content[: len(content) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(path, content)

        monkeypatch.setattr(checkpoints, "write_durably", full)
        with pytest.raises(
            TrainingError, match=r"step 6 could not be written .*No space left.*before is whole"
        ):
            trainer_of(tmp_path).run()
        monkeypatch.undo()
        assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000003"]
        again = trainer_of(tmp_path)
        again.resume()
        again.run()
        assert_same_run(again, uninterrupted["modern"])

    def test_a_limit_of_the_system_on_file_sizes_is_told_too(self, tmp_path):
        """A real failing write rather than a simulated one."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(
                TrainingError, match=r"step \d+ could not be written .*there is none before it"
            ):
                trainer_of(tmp_path).run()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not list(tmp_path.glob("step-*"))


class TestCurves:
    def test_they_are_saved_as_data_and_picture(self, uninterrupted):
        run = uninterrupted["modern"]
        rows = list(csv.DictReader((run.folder / "curves.csv").open()))
        assert [int(row["step"]) for row in rows] == [2, 3, 4, 6, 8, 9, 10, 11]
        assert [int(row["step"]) for row in rows if row["validation_loss"]] == [4, 8, 11]
        assert float(rows[-1]["validation_loss"]) == run.curves.rows[-1]["validation_loss"]
        assert int(rows[-1]["tokens"]) == 11 * 4 * 6
        assert (run.folder / "curves.png").read_bytes().startswith(b"\x89PNG")

    def test_progress_tells_loss_speed_and_time_left(self, monkeypatch):
        progress = Progress(steps=200, start=100)
        monkeypatch.setattr("time.perf_counter", lambda: progress.began + 30)
        line = progress.line(150, 2.5, 2.25, 51234.0)
        assert "step 150/200 · loss 2.500 · validation 2.250 · 51,234 tokens/s · 0:30 left" in line

    def test_no_line_where_quiet(self, capsys):
        Progress(10, 0, quiet=True).show(Curves(), 5, 1.0, None, 1.0)
        assert capsys.readouterr().err == ""


def test_settings_can_be_stored_as_json():
    assert Settings(**json.loads(json.dumps(dataclasses.asdict(Settings(steps=7))))) == Settings(
        steps=7
    )
