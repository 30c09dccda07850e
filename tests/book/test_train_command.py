"""`python -m attend.train` and `attend.sample` as their users run them, and what the cpu preset reaches."""

import csv
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from attend import checkpoints, sample
from attend import train as command
from attend.checkpoints import load_model
from attend.corpus import BytePairs, text_of
from attend.language_model import generate

from tests.book.small_runs import TEXT, TINY

pytest.importorskip(
    "safetensors", reason="the Python package safetensors is absent: run `make env`"
)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "text.txt"


class TestCommands:
    def test_train_stop_go_on_and_sample(self, data, tmp_path, capsys):
        out = tmp_path / "run"
        options = [*TINY, f"--data={data}", f"--out={out}", "--quiet"]
        assert command.main([*options, "--recipe=gpt2"]) == 0
        printed = capsys.readouterr().out
        assert "gpt2 recipe" in printed and "step 8 after" in printed
        assert command.main([*options, "--recipe=gpt2"]) == 0
        assert "goes on from step 8" in capsys.readouterr().out
        assert sample.main([str(out), "--prompt=the ", "--length=20", "--seed=1"]) == 0
        first = capsys.readouterr().out
        assert first.startswith("the ") and len(first) == 4 + 20 + 1
        sample.main([str(out / "model.safetensors"), "--prompt=the ", "--length=20", "--seed=1"])
        assert capsys.readouterr().out == first

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (["--data=absent.txt"], "data file absent.txt cannot be read"),
            (["--context=5000"], "tokens, and one window of the context 5000"),
            (["--heads=5"], "width 12 cannot be shared out among 5 heads"),
            (["--batch=4", "--micro-batch=3"], "cannot be cut into micro-batches of 3"),
            (["--tokens=byte-pairs", "--context=500"], "tokens, and one window of the context 500"),
        ],
    )
    def test_mistakes_are_one_sentence(self, options, sentence, data, tmp_path, capsys):
        assert (
            command.main([*TINY, f"--data={data}", f"--out={tmp_path}/x", "--quiet", *options]) == 1
        )
        error = capsys.readouterr().err.strip()
        assert sentence in error and "\n" not in error

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (None, "cannot be read (No such file or directory)"),
            (b"", "training text has 0 tokens"),
            (b"\x89PNG\r\n\xff\xfe", "is not UTF-8 text"),
            (b"too short", "validation text has 1 tokens, and one window of the context 6 takes 7"),
        ],
    )
    def test_data_that_cannot_be_used(self, content, sentence, tmp_path):
        """As a user sees it: the real command, its exit status, its only line."""
        if content is not None:
            (tmp_path / "data").write_bytes(content)
        ended = subprocess.run(
            [sys.executable, "-m", "attend.train", *TINY, "--data=data", "--out=run"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 1 and not ended.stdout
        error = ended.stderr.strip()
        assert error.startswith("attend.train: ") and sentence in error and "\n" not in error
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        "option", ["--batch=0", "--log-every=0", "--width=x", "--vocabulary=256"]
    )
    def test_values_out_of_range_are_refused_at_once(self, option, capsys):
        with pytest.raises(SystemExit, match="2"):
            command.main([*TINY, option])
        assert f"argument {option.split('=')[0]}:" in capsys.readouterr().err

    def test_byte_pairs(self, data, tmp_path, capsys):
        pytest.importorskip("tokenizers")
        options = [*TINY, f"--data={data}", f"--out={tmp_path}/run", "--quiet"]
        options += ["--tokens=byte-pairs", "--vocabulary=265"]
        assert command.main(options) == 0
        printed = capsys.readouterr().out
        assert "(265 different ones, " in printed and " bits per byte, kept in" in printed
        assert command.main(options) == 0 and "goes on from step 8" in capsys.readouterr().out
        assert isinstance(load_model(tmp_path / "run" / "model.safetensors")[1], BytePairs)
        assert sample.main([f"{tmp_path}/run", "--prompt=Zürich, 日本", "--length=9"]) == 0
        assert capsys.readouterr().out.startswith("Zürich, 日本")
        assert command.main([*options, "--vocabulary=266"]) == 1
        assert "its vocabulary has 265 symbols, not 266" in capsys.readouterr().err
        row = list(csv.DictReader((tmp_path / "run" / "curves.csv").open()))[-1]
        per_token = float(re.search(r"([\d.]+) bytes each", printed)[1])
        bits = float(row["validation_loss"]) / np.log(2) / per_token
        assert float(row["bits_per_byte"]) == pytest.approx(bits, rel=0.01)

    def test_out_of_memory_before_the_first_step(self, data, tmp_path, capsys, monkeypatch):
        def fails(*_, **__):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

        monkeypatch.setattr(command, "Trainer", fails)
        assert command.main([*TINY, f"--data={data}", f"--out={tmp_path}/x"]) == 1
        assert "lower the layers, width or context" in capsys.readouterr().err

    def test_sampling_mistakes_are_one_sentence(self, tmp_path, capsys):
        (tmp_path / "model.safetensors").write_bytes(b"junk")
        for path, sentence in (
            (tmp_path, "cannot be read as a model"),
            (tmp_path / "no", "no model at"),
        ):
            assert sample.main([str(path)]) == 1
            assert sentence in capsys.readouterr().err

    def test_without_safetensors_one_sentence_comes_before_training(
        self, data, tmp_path, capsys, monkeypatch
    ):
        monkeypatch.setitem(sys.modules, "safetensors", None)
        monkeypatch.setitem(sys.modules, "safetensors.torch", None)
        assert command.main([*TINY, f"--data={data}", f"--out={tmp_path}/x", "--quiet"]) == 1
        assert "pip install safetensors" in capsys.readouterr().err
        assert not (tmp_path / "x" / "curves.csv").exists()

    def test_two_processes_equal_one(self, data, tmp_path):
        """Each of two processes sees half of the batch; together they are one process with all of it."""
        data.write_text(
            TEXT[:580]
        )  # 9 windows of validation: one process computes a micro-batch less
        options = [*TINY, "--quiet", f"--data={data}"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # What torchrun sets; without it there is no rendezvous to wait for, and no port to be chosen twice.
        place = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": "2",
            "OMP_NUM_THREADS": "1",
        }
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "attend.train", *options, f"--out={tmp_path}/two"],
                env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for rank in (0, 1)
        ]  # fmt: skip
        try:
            printed = [process.communicate(timeout=30) for process in processes]
        finally:
            for process in processes:
                process.kill()
        assert [process.returncode for process in processes] == [0, 0], printed
        assert "2 process(es)" in printed[0][0] and not printed[1][0]
        assert command.main([*options, f"--out={tmp_path}/one"]) == 0
        losses = []
        for name in ("one", "two"):
            curves = csv.DictReader((tmp_path / name / "curves.csv").open())
            losses.append([float(row["training_loss"]) for row in curves])
        assert len(losses[0]) == 8
        # The sums are made in another order, and bfloat16 in Muon makes some of it visible.
        np.testing.assert_allclose(*losses, rtol=2e-3)


def start(data: Path, out: Path, *more: str) -> subprocess.Popen:
    options = [*TINY, "--steps=40", "--save-every=1", "--eval-every=10", "--dropout=0.1", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "attend.train", *options, f"--data={data}", f"--out={out}", "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stepped(out: Path, process: subprocess.Popen) -> None:
    """Wait until the process has written a checkpoint."""
    before, until = checkpoints.checkpoints(out)[-1:], time.monotonic() + 60
    while checkpoints.checkpoints(out)[-1:] == before and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.002)


def final(out: Path) -> tuple[dict[str, torch.Tensor], list[dict]]:
    weights, _, record = checkpoints.load_checkpoint(checkpoints.checkpoints(out)[-1])
    assert record["step"] == 40
    return weights, [{**row, "seconds": 0} for row in record["curves"]]


def test_killed_anywhere_it_ends_as_if_it_had_not_been(data, tmp_path):
    """SIGKILL from outside, twice, while nearly all of its time goes into writing; then SIGINT."""
    whole = start(data, tmp_path / "whole")
    chance, cut = random.Random(0), tmp_path / "cut"
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        process = start(data, cut)
        stepped(cut, process)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(number)
        printed, error = process.communicate(timeout=60)
        assert process.returncode == (-number if number == signal.SIGKILL else 0), error
    assert re.search(r"step \d+ after .*stopped: run again to go on", printed)
    reached = checkpoints.load_checkpoint(checkpoints.checkpoints(cut)[-1])[2]["step"]
    assert 0 < reached < 40
    last = start(data, cut)
    assert "goes on from step" in last.communicate(timeout=60)[0]
    assert whole.wait(60) == 0
    weights, rows = final(tmp_path / "whole")
    ours, our_rows = final(cut)
    assert all(torch.equal(ours[name], tensor) for name, tensor in weights.items())
    seen = {row["step"] for row in rows}  # SIGINT adds a row, at the step where it came
    assert [row for row in our_rows if row["step"] in seen] == rows
    assert not list(cut.glob("*.tmp"))


# What seeds 0, 1, 2 of `--preset cpu --data stdlib` reached on 2026-11-22 (PyTorch 2.13, one thread): best
# validation loss 1.566 1.567 1.560 and words 0.54 0.53 0.49 at 120 steps; at the preset's 1200, before the
# recipe had token shift, 1.259 1.265 1.256 and 0.93 0.91 0.91, and with it 1.254 (seed 0, two threads).
# Words: the share of the generated words of four letters and more that the text has; an untrained model has
# 0. For each budget in steps: lowest and highest loss, least share of words. Whoever changes the recipe or
# the preset measures them again.
BANDS = {120: (1.49, 1.64, 0.35), None: (1.20, 1.32, 0.84)}


def check_preset(steps: int | None, out: Path) -> None:
    """Train the preset on the default data; its loss lies in the band and its samples are words."""
    budget = [f"--steps={steps}"] if steps else []
    assert command.main(["--preset=cpu", f"--out={out}", "--quiet", *budget]) == 0
    low, high, least = BANDS[steps]
    losses = [
        float(row["validation_loss"] or "inf")
        for row in csv.DictReader((out / "curves.csv").open())
    ]
    model, vocabulary = load_model(out / "model.safetensors")
    prompt = vocabulary.encode("\n").long()[None].repeat(8, 1)
    rows = generate(model, prompt, 250, generator=torch.Generator().manual_seed(0), temperature=0.8)
    written = re.findall("[A-Za-z]{4,}", "\n".join(map(vocabulary.decode, rows)))
    known = set(re.findall("[A-Za-z]{4,}", text_of("stdlib")))
    share = sum(word in known for word in written) / len(written)
    assert low < min(losses) < high and len(written) > 100 and share > least, (min(losses), share)


def test_a_tenth_of_the_cpu_preset_learns_the_default_data(tmp_path):
    check_preset(120, tmp_path)
