"""Instance types, registries, secrets and models: the files, and what the machine does not have."""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path

import pytest

from paperspace.gradient._shared.private_files import MAX_BYTES
from paperspace.gradient.server.controller.engine import Model, Repository, Workload
from paperspace.gradient.server.docker import file_systems
from paperspace.gradient.server.docker.instance_types import (
    HOSTED,
    InstanceType,
    Machine,
    fit,
    read_instance_types,
)
from paperspace.gradient.server.docker.registries import (
    Registry,
    read_registries,
    registry_host,
)
from paperspace.gradient.server.docker.requirements import Settings, check, needs_of
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.secrets import Secret
from paperspace.gradient.server.settings_files import SettingsFileError, write_settings

LAPTOP = Machine(cpus=4, memory=8, gpus=0)
A100 = Workload("app:1", None, 80, (), (), "A100", None)


@pytest.mark.parametrize(
    ("name", "machine", "fitting"),
    [
        ("C3", LAPTOP, InstanceType(2, 2)),
        ("C7", LAPTOP, InstanceType(4, 8)),
        ("A100", LAPTOP, InstanceType(4, 8, 0)),
        ("A100", Machine(64, 500, None), InstanceType(12, 90, 1)),
        ("A100-80Gx8", Machine(128, 2000, 4), InstanceType(96, 720, 4)),
    ],
)
def test_types_are_reduced_to_the_machine(name: str, machine: Machine, fitting: InstanceType) -> None:
    """What the machine does not have is reduced, and a sentence says so."""
    reduced, notes = fit(name, HOSTED[name], machine)
    assert reduced == fitting
    assert len(notes) == (reduced != HOSTED[name])


def test_the_sentence_about_a_reduced_type() -> None:
    """It names both sizes, and why there are no GPUs."""
    _, (note,) = fit("A100", HOSTED["A100"], LAPTOP)
    assert note == (
        "Instance type A100 has 12 CPUs, 90 GiB, 1 GPU, but this machine has only 4 CPUs, 8 GiB. The Docker engine of "
        "this machine has no GPUs (`docker info` lists no runtime nvidia)."
    )


def test_strict_instance_types() -> None:
    """With --strict-instance-types, a type that the machine does not have is refused."""
    strict = Settings(strict_instance_types=True)
    with pytest.raises(
        UnsupportedSpecError,
        match=r"this machine has only 4 CPUs, 8 GiB\. .* With --strict-instance-types, .* select a smaller",
    ):
        check(A100, strict, LAPTOP)
    assert check(A100._replace(instance_type="C3"), strict, LAPTOP) == ()


def test_unknown_names() -> None:
    """An unknown instance type or registry is refused with the list of names, and an invalid image too."""
    with pytest.raises(UnsupportedSpecError, match=r"^Unknown instance type X; known: C2, C3, .*Add it with `gradient"):
        check(A100._replace(instance_type="X"), Settings(), None)
    with pytest.raises(UnsupportedSpecError, match=r"^Unknown registry mine; known: none\. Store it with `gradient"):
        check(A100._replace(registry="mine"), Settings(), None)
    with pytest.raises(UnsupportedSpecError, match=r"^Image 'a b' is not a valid reference"):
        check(A100._replace(image="a b"), Settings(), None)


def test_own_types(tmp_path: Path) -> None:
    """Types of the file are added to the hosted ones, and replace those of the same name."""
    file = tmp_path / "types"
    types = {"small": InstanceType(0.5, 0.25), "C2": InstanceType(3), "gpu": InstanceType(devices=("0", "1"))}
    write_settings(file, types)
    assert read_instance_types(file) == {**HOSTED, **types}


def test_file_that_is_too_large(tmp_path: Path) -> None:
    """A file is read only up to a limit, as it may be a device without an end."""
    file = tmp_path / "registries"
    file.write_bytes(b" " * MAX_BYTES + b"{}")
    with pytest.raises(SettingsFileError, match=f"{file} cannot be read: larger than 1 MB"):
        read_registries(file)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"a": 1}']
    + [f'{{"a": {{"cpus": {cpus}}}}}' for cpus in ('"x"', "0", "NaN", "Infinity", "true")]
    + [f'{{"a": {{"{field}": -1}}}}' for field in ("memory", "gpus")],
)
def test_invalid_file(tmp_path: Path, content: str) -> None:
    """A file that cannot be read is an error of the spec that names the file, not an unknown type."""
    file = tmp_path / "types"
    file.write_text(content)
    with pytest.raises(SettingsFileError, match=f"{file} cannot be read"):
        read_instance_types(file)
    with pytest.raises(UnsupportedSpecError, match=f"{file} cannot be read"):
        check(A100, Settings(instance_types_file=file), None)


def test_registries_are_private(tmp_path: Path) -> None:
    """Only the owner can read the file with passwords, and no `repr` shows one."""
    file = tmp_path / "registries"
    write_settings(file, {"mine": Registry("ghcr.io", "ada", "secret")})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_registries(file) == {"mine": Registry("ghcr.io", "ada", "secret")}
    assert "secret" not in repr(read_registries(file))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("https://registry.example.com:5000/v2/", "registry.example.com:5000"),
        ("localhost:5000", "localhost:5000"),
    ],
)
def test_registry_hosts(url: str, host: str) -> None:
    """The host of a registry is written as in references of images."""
    assert registry_host(url) == host


@pytest.mark.parametrize("url", ["", "https://", "a b", "https:///path"])
def test_invalid_registry_url(url: str) -> None:
    """A URL without a host is refused."""
    with pytest.raises(ValueError, match="no host"):
        registry_host(url)


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """References become values: stored ones first, then those of the environment; other values stay as they are."""
    file = tmp_path / "secrets"
    write_settings(file, {"token": Secret("stored")})
    monkeypatch.setenv("GRADIENT_SECRET_TOKEN", "not used")
    monkeypatch.setenv("GRADIENT_SECRET_GIT_TOKEN_2", "of the environment")
    env = (("A", "SECRET: token"), ("B", "secret:git-token.2"), ("C", "my secret:token"), ("D", ""))
    values = needs_of(A100._replace(env=env), Settings(secrets_file=file), LAPTOP).env
    assert values == ["A=stored", "B=of the environment", "C=my secret:token", "D="]
    assert "stored" not in repr(Secret("stored"))


def test_unknown_secrets(tmp_path: Path) -> None:
    """A spec with an unknown secret cannot run; the error lists names only, and what to do."""
    file = tmp_path / "secrets"
    write_settings(file, {"token": Secret("v41ue")})
    workload = A100._replace(env=(("A", "secret:token"), ("B", "secret:tokn")))
    with pytest.raises(UnsupportedSpecError) as caught:
        check(workload, Settings(secrets_file=file), LAPTOP)
    assert str(caught.value) == (
        "Unknown secret tokn in env[1].value; known: token. Store it with `gradient server secrets set tokn`, or start "
        "the server with GRADIENT_SECRET_TOKN in its environment."
    )


def test_secrets_that_are_not_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the server with other bytes is an error: the container would get another value, and git none."""
    monkeypatch.setenv("GRADIENT_SECRET_TOKEN", os.fsdecode("Schlüssel".encode("latin-1")))
    repository = Repository("app", "https://h/a", None, None, "secret:token", "/opt/app")
    for workload, field in [
        (A100._replace(env=(("A", "secret:token"),)), "env[0].value"),
        (A100._replace(repositories=(repository,)), "repositories.repositories[0].password"),
    ]:
        with pytest.raises(UnsupportedSpecError, match=re.escape(f"secret token in {field} is not UTF-8. Store it")):
            check(workload, Settings(), LAPTOP)


def test_models(tmp_path: Path) -> None:
    """Each model is a folder, mounted read-only at its path; a link may point to another folder among the models."""
    folder = tmp_path / "models"
    (folder / "mnist/1").mkdir(parents=True)
    (folder / "latest").symlink_to(folder / "mnist/1")
    workload = A100._replace(models=(Model("mnist", "/opt/models/mnist"), Model("latest", "/m")))
    mounts = needs_of(workload, Settings(models=folder), LAPTOP).mounts
    assert mounts == [
        {"Type": "bind", "Source": str(folder / "mnist"), "Target": "/opt/models/mnist", "ReadOnly": True},
        {"Type": "bind", "Source": str(folder / "mnist/1"), "Target": "/m", "ReadOnly": True},
    ]


def test_models_that_cannot_be_read(tmp_path: Path) -> None:
    """If the folder of the models cannot be read, the error says so, and not that there are no models."""
    folder = tmp_path / "models"
    with pytest.raises(UnsupportedSpecError) as caught:
        check(A100._replace(models=(Model("mnist", "/m"),)), Settings(models=folder), LAPTOP)
    assert str(caught.value) == (
        f"models[0].id: the folder of the models, {folder}, cannot be read: No such file or directory."
    )


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([("a", "/m"), ("b", "/m/")], "models[1].path: models[0] has the same path, /m/."),
        ([("a", "m")], "models[0].path: expected an absolute path other than /, without `..`, got 'm'."),
        (
            [("a", "/m/../etc")],
            "models[0].path: expected an absolute path other than /, without `..`, got '/m/../etc'.",
        ),
        ([("a", "/")], "models[0].path: expected an absolute path other than /, without `..`, got '/'."),
        ([("a", "//m"), ("b", "/./m/")], "models[1].path: models[0] has the same path, /./m/."),
        ([("a", "//")], "models[0].path: expected an absolute path other than /, without `..`, got '//'."),
        ([("c", "/c")], "models[0].id: there is no model 'c'; known: a, b."),
        ([("itself", "/c")], "models[0].id: there is no model 'itself'; known: a, b."),
        ([("c" * 300, "/c")], f"models[0].id: there is no model '{'c' * 300}'; known: a, b."),
        ([("outside", "/o")], "models[0].id: there is no model 'outside'"),
        ([("..", "/o")], "models[0].id: there is no model '..'"),
        ([(".", "/o")], "models[0].id: there is no model '.'"),
        ([("a/sub", "/o")], "models[0].id: there is no model 'a/sub'"),
        ([("/etc", "/o")], "models[0].id: there is no model '/etc'"),
        ([("file", "/o")], "models[0].id: there is no model 'file'"),
    ],
)
def test_models_that_cannot_be_mounted(tmp_path: Path, models: list[tuple[str, str]], message: str) -> None:
    """Nothing outside the folder of the models is mounted, and each error names the model and says what to do.

    A folder whose name cannot be an id, because it has control characters or is not UTF-8, is not listed.
    """
    folder = tmp_path / "models"
    for path in (
        "models/a/sub",
        "models/b",
        "models/line\nbreak",
        os.fsdecode(b"models/not-utf-8-\xff"),
        "secret",
    ):
        (tmp_path / path).mkdir(parents=True)
    (folder / "file").touch()
    (folder / "outside").symlink_to(tmp_path / "secret")
    (folder / "itself").symlink_to("itself")
    workload = A100._replace(models=tuple(Model(*model) for model in models))
    with pytest.raises(UnsupportedSpecError) as caught:
        check(workload, Settings(models=folder), LAPTOP)
    assert str(caught.value).startswith(message)


def test_models_of_a_file_system_that_does_not_respond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spec is refused in time, and the error says why."""
    (tmp_path / "a").mkdir()
    responds = threading.Event()
    monkeypatch.setattr(file_systems, "TIMEOUT", 0.1)
    monkeypatch.setattr(Path, "is_dir", lambda _: responds.wait())
    try:
        with pytest.raises(UnsupportedSpecError) as caught:
            check(A100._replace(models=(Model("a", "/a"),)), Settings(models=tmp_path), LAPTOP)
    finally:
        responds.set()
    assert str(caught.value) == f"models[0].id: the file system of {tmp_path} does not respond."


def test_no_models() -> None:
    """Without a folder, a spec with models cannot run, and the error names the option."""
    with pytest.raises(UnsupportedSpecError, match="Start it with --models DIR"):
        check(A100._replace(models=(Model("a", "/a"),)), Settings(), LAPTOP)
