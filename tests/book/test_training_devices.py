"""What the loop does on machines that are not here, as far as a CPU can do it too.

Nothing here runs on a GPU. float16 with loss scaling, bfloat16 and the compiler are real, on the CPU.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from attend import devices, training
from attend.curves import in_notebook
from attend.devices import can_compile, find_device, find_precision
from attend.training import Trainer
from torch import nn

from tests.book.small_runs import assert_same_run, trainer_of, weights


def in_half(trainer: Trainer, scale: float = 2.0**10) -> Trainer:
    """The T4's path: autocast to float16 and scaled losses."""
    trainer.precision = torch.float16
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return trainer


class TestHalf:
    @pytest.mark.parametrize("clip", [1.0, 0])
    @pytest.mark.parametrize("value", [float("inf"), float("nan")])
    def test_a_step_that_overflowed_is_left_out_by_both_optimizers(self, value, clip):
        trainer = in_half(trainer_of(clip=clip, warmup=0))
        trainer.accumulate()
        matrix = trainer.optimizers[0].param_groups[0]["params"][0]
        matrix.grad[0, 0] = value  # only Muon's gradient overflows
        before = weights(trainer)
        trainer.update()
        assert all(torch.equal(tensor, before[name]) for name, tensor in weights(trainer).items())
        assert trainer.scaler.get_scale() == 2.0**9
        trainer.step += 1
        trainer.accumulate()
        trainer.update()
        assert all(tensor.isfinite().all() for tensor in weights(trainer).values())
        assert not torch.equal(weights(trainer)["embedding.weight"], before["embedding.weight"])

    def test_clipping_sees_unscaled_gradients(self):
        """At a scale of 2 ** 10 a step is the one at scale 1, but for rounding."""
        steps = []
        for scale in (1.0, 2.0**10):
            trainer = in_half(trainer_of(name="gpt2", dropout=0.0, clip=0.1), scale)
            before = weights(trainer)
            trainer.accumulate()
            for optimizer in trainer.optimizers:  # gradient descent shows the gradient itself
                optimizer.step = None
            trainer.optimizers = [torch.optim.SGD(trainer.plain.parameters(), lr=1.0)]
            trainer.optimizers[0].param_groups[0]["highest"] = 3.0
            trainer.update()
            moved = [weights(trainer)[name] - before[name] for name in before]
            steps.append(torch.cat([part.flatten() for part in moved]))
        assert steps[0].norm() == pytest.approx(0.1, rel=0.01)
        torch.testing.assert_close(*steps, atol=2e-4, rtol=0.05)

    def test_it_learns_and_goes_on_exactly(self, tmp_path):
        whole = in_half(trainer_of(tmp_path / "whole", rate=0.01), 2.0**40)  # overflows at first
        whole.run()
        assert whole.scaler.get_scale() < 2.0**40
        assert whole.curves.rows[-1]["training_loss"] < whole.curves.rows[0]["training_loss"]
        assert all(tensor.dtype == torch.float32 for tensor in weights(whole).values())
        first = in_half(trainer_of(tmp_path / "cut", rate=0.01), 2.0**40)
        first.validate = lambda: 1 / 0  # dies in step 4, after the checkpoint of step 3
        with pytest.raises(ZeroDivisionError):
            first.run()
        again = in_half(trainer_of(tmp_path / "cut", rate=0.01), 2.0)
        assert again.resume() and again.step == 3
        again.run()
        for name, tensor in weights(whole).items():
            assert torch.equal(weights(again)[name], tensor), name
        assert again.scaler.state_dict() == whole.scaler.state_dict()

    def test_bfloat16_learns(self):
        trainer = trainer_of(steps=80, rate=0.01, dropout=0.0)
        trainer.precision = torch.bfloat16
        trainer.run()
        assert trainer.curves.rows[-1]["training_loss"] < 1.8


class TestOtherDevice:
    def test_a_run_goes_on_in_another_precision(self, tmp_path):
        trainer_of(tmp_path, steps=6).run()
        half = in_half(trainer_of(tmp_path, steps=6))
        assert half.resume() and half.scaler.get_scale() == 2.0**10

    def test_a_run_goes_on_with_the_devices_own_optimizer(self, tmp_path):
        first = trainer_of(tmp_path)
        for group in first.optimizers[1].param_groups:
            group["fused"] = False  # as on MPS
        first.run()
        again = trainer_of(tmp_path)
        assert again.resume()
        assert [group["fused"] for group in again.optimizers[1].param_groups] == [True]
        assert "fused" not in again.optimizers[0].param_groups[0]  # Muon has no such choice

    def test_no_autocast_is_entered_in_full_precision(self, monkeypatch):
        """On MPS, PyTorch 2.4 has none and later ones warn at each step."""

        def refuse(*_, **__):
            raise RuntimeError("unsupported autocast device_type 'mps'")

        monkeypatch.setattr(torch, "autocast", refuse)
        trainer_of(steps=1).run()

    @pytest.mark.parametrize(
        ("capability", "precision", "compiles"),
        [
            ((9, 0), torch.bfloat16, True),
            ((7, 5), torch.float16, True),
            ((6, 0), torch.float16, False),
        ],
    )
    def test_the_gpus_age_decides(self, capability, precision, compiles, monkeypatch):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: name == "triton")
        monkeypatch.setattr(devices.shutil, "which", lambda name: name == "gcc")
        gpu = torch.device("cuda", 0)
        assert find_precision(gpu) == precision and can_compile(gpu) == compiles
        monkeypatch.setattr(devices.shutil, "which", lambda name: None)
        monkeypatch.delenv("CC", raising=False)
        assert not can_compile(gpu) and not can_compile(torch.device("cpu"))

    def test_more_processes_than_gpus_is_one_sentence(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert find_device() == torch.device("cuda", 1)
        monkeypatch.setenv("LOCAL_RANK", "2")
        with pytest.raises(ValueError, match="has 2 GPU"):
            find_device()


class TestCompiled:
    def test_it_is_the_same_run_with_the_same_names(self, tmp_path, monkeypatch):
        """PyTorch's compiler traces forward and backward; only the code that it would emit is left out."""
        options = {"dropout": 0.0, "batch": 4, "micro_batch": 2, "eval_windows": 5}
        plain = trainer_of(tmp_path / "plain", **options)
        plain.run()
        compile_ = nn.Module.compile
        monkeypatch.setattr(training, "can_compile", lambda device: True)
        monkeypatch.setattr(
            nn.Module, "compile", lambda self, **how: compile_(self, backend="aot_eager", **how)
        )
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        compiled = trainer_of(tmp_path / "compiled", **options)
        compiled.run()
        counts = torch._dynamo.utils.counters
        assert counts["stats"]["unique_graphs"] == 3  # training, validation, its last batch of one
        assert not counts["graph_break"]
        assert weights(compiled).keys() == weights(plain).keys()
        for name, tensor in weights(plain).items():
            torch.testing.assert_close(weights(compiled)[name], tensor, atol=1e-3, rtol=1e-3)
        again = trainer_of(
            tmp_path / "compiled", **options
        )  # goes on from what the compiled one wrote
        assert again.resume()
        assert_same_run(again, compiled)


ROOT = Path(__file__).parents[2]
NOTEBOOK = """
from tests.book.small_runs import trainer_of
from attend import curves
run = trainer_of(steps=200, eval_every=20)
run.quiet = False
run.run();
"""


class TestNotebook:
    def test_colab_is_a_notebook_and_a_terminal_is_none(self, monkeypatch):
        class ZMQInteractiveShell:
            pass

        class Shell(ZMQInteractiveShell):  # as in google.colab
            pass

        class TerminalInteractiveShell:
            pass

        for kind, answer in (
            (Shell, True),
            (ZMQInteractiveShell, True),
            (TerminalInteractiveShell, False),
        ):
            fake = type("IPython", (), {"get_ipython": staticmethod(kind)})
            monkeypatch.setitem(sys.modules, "IPython", fake)
            assert in_notebook() == answer

    def test_the_curves_are_a_picture_that_is_updated(self, tmp_path):
        """A real kernel, in which nobody imported matplotlib.pyplot."""
        pytest.importorskip("nbclient")
        cell = {"cell_type": "code", "id": "a", "source": NOTEBOOK, "metadata": {}, "outputs": []}
        book = {"cells": [{**cell, "execution_count": None}], "nbformat": 4, "nbformat_minor": 5}
        book["metadata"] = {
            "kernelspec": {"name": "python3", "display_name": "", "language": "python"}
        }
        (tmp_path / "run.ipynb").write_text(json.dumps(book))
        command = [sys.executable, "-m", "nbconvert", "--to=notebook", "--execute", "--inplace"]
        ours = os.environ | {"PYTHONPATH": str(ROOT)}  # for the kernel, which starts in tmp_path
        subprocess.run(
            [*command, tmp_path / "run.ipynb"], check=True, capture_output=True, env=ours
        )
        (done,) = json.loads((tmp_path / "run.ipynb").read_text())["cells"]
        pictures = [out for out in done["outputs"] if "image/png" in out.get("data", {})]
        assert len(pictures) == 1 and pictures[0]["output_type"] == "display_data"
        text = "".join("".join(out.get("text", "")) for out in done["outputs"])
        assert "step 200/200" in text and "tokens/s" in text
