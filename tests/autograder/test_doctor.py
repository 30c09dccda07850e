"""What `autograder doctor` says of the sandboxes; of packages and the rest `test_cli` tells."""

import pytest

from autograder import doctor

NEITHER = {"bwrap": "bwrap is not installed", "docker": "no image", "podman": "no image"}


@pytest.mark.parametrize("works", ["bwrap", "docker", "podman"])
def test_one_sandbox_is_enough(works, monkeypatch):
    monkeypatch.setattr(doctor, "available", lambda name: "" if name == works else NEITHER[name])
    found = {finding.what: finding for finding in doctor.sandboxes()}
    assert list(found) == ["sandbox bwrap", "sandbox docker", "sandbox podman"]
    assert [what for what, finding in found.items() if finding.fine] == [f"sandbox {works}"]
    assert all(finding.optional for finding in found.values())


def test_no_sandbox_at_all_is_a_fault_and_each_says_why(monkeypatch):
    monkeypatch.setattr(doctor, "available", NEITHER.get)
    found = doctor.sandboxes()
    assert not any(finding.fine or finding.optional for finding in found)
    assert [finding.advice.split(";")[0] for finding in found] == list(NEITHER.values())


@pytest.mark.parametrize("name", doctor.SETTINGS)
def test_a_setting_of_the_kernel_that_forbids_sandboxes_is_named(name, tmp_path):
    setting = tmp_path / name
    setting.parent.mkdir()
    bad = doctor.SETTINGS[name][0]
    setting.write_text(f"{bad}\n")
    assert name.replace("/", ".") in doctor.forbidden(tmp_path)
    setting.write_text({"0": "1", "1": "0"}[bad])
    assert doctor.forbidden(tmp_path) == ""
    assert "sysctl" not in doctor.forbidden(tmp_path / "another system")


def test_a_program_that_debian_keeps_out_of_the_path_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "PLACES", (f"{tmp_path}/*/bin",))
    monkeypatch.setenv("PATH", "")
    assert not doctor._is_installed("initdb")
    (tmp_path / "15/bin").mkdir(parents=True)
    (tmp_path / "15/bin/initdb").touch()
    assert doctor._is_installed("initdb")
