"""The logs of real containers, read through the API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tests.engine.private_engine import PrivateEngine
from tests.engine.relay import Relay
from tests.engine.site import SERVE, Site, running_site, spec, wait_for

from paperspace.gradient.server.controller.log_reading import GAP
from paperspace.gradient.server.docker import containers


@pytest.fixture
def site(docker: PrivateEngine, tmp_path: Path) -> Iterator[Site]:
    with running_site(docker, tmp_path) as site:
        yield site


def lines(site: Site, id_: str) -> list[str]:
    return [line["message"] for line in site.api.get_deployment_logs(id_)]


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def test_both_outputs(site: Site) -> None:
    """Lines of both outputs come in the order in which they were written: long ones, empty ones, and ones that are not text."""
    long = "head -c 50000 /dev/zero | tr '\\0' x; echo"
    script = (
        f"echo one; sleep 0.1; echo two >&2; sleep 0.1; echo; printf 'a\\377b\\r\\n'; {long}; printf 'end'; {SERVE}"
    )
    id_ = site.create("mnist", spec("mnist", script=script), wait=True)
    wait_for(lambda: len(lines(site, id_)) >= 6)
    one, two, empty, bad, *parts = lines(site, id_)
    assert (one, two, empty, bad) == ("one", "two", "", "a\ufffdb")
    assert "".join(parts) == "x" * 50000
    site.api.stop_deployment(id_)
    site.api.wait_for_deployment(id_)
    assert lines(site, id_)[-1] == "end"


def test_logs_outlive_their_containers(site: Site) -> None:
    """After a container was replaced, its log has all its lines, with those that it wrote when it was stopped."""
    goodbye = SERVE.replace("exit 0", "echo goodbye; exit 0")
    id_ = site.create("mnist", spec("mnist", script=goodbye), wait=True)
    site.api.update_deployment("mnist", "p", spec("mnist"), wait=True)
    site.until(id_, lambda _: len(site.containers(id_)) == 1)
    assert lines(site, id_) == ["goodbye"]


def test_lines_of_the_time_without_a_server(site: Site) -> None:
    """What is written while the server is down is in the log after its start, each line once."""
    id_ = site.create(
        "mnist", spec("mnist", script=f"seq 1 100; (sleep 2; seq 101 300; echo end) & {SERVE}"), wait=True
    )
    wait_for(lambda: lines(site, id_) == numbers(1, 100))
    site.stop()
    time.sleep(2.5)
    site.start()
    wait_for(lambda: lines(site, id_)[-1] == "end")
    assert lines(site, id_) == [*numbers(1, 300), "end"]


def test_a_cut_connection(docker: PrivateEngine, tmp_path: Path) -> None:
    """When the connections to the engine are cut again and again, each line is in the log once, in order."""
    script = f"(for i in $(seq 0 19); do seq $((i * 100 + 1)) $((i * 100 + 100)); sleep 0.1; done) & {SERVE}"
    with Relay(tmp_path / "relay.sock", docker.socket) as relay, running_site(docker, tmp_path, url=relay.url) as site:
        id_ = site.create("mnist", spec("mnist", script=script))
        wait_for(lambda: len(lines(site, id_)) > 100)
        for _ in range(3):
            relay.cut()
            time.sleep(0.5)
        wait_for(lambda: lines(site, id_)[-1] == "2000")
        assert lines(site, id_) == numbers(1, 2000)


@pytest.mark.parametrize("server_is", ["up", "down"])
def test_a_restarted_engine(site: Site, server_is: str) -> None:
    """The log of a container that a restart of the engine has ended is complete, and that of the next one follows it."""
    id_ = site.create("mnist", spec("mnist", script=f"seq 1 200; {SERVE}"), wait=True)
    wait_for(lambda: lines(site, id_) == numbers(1, 200))
    site.restart_engine(server_is)
    wait_for(lambda: len(lines(site, id_)) == 400)
    assert lines(site, id_) == numbers(1, 200) * 2


def test_new_files_of_the_engine(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the engine begins new files for a log, each line is in the log once, and none is missing."""
    monkeypatch.setitem(containers.LOG_CONFIG, "Config", {"max-size": "200k", "max-file": "2"})
    script = f"(for i in $(seq 0 499); do seq $((i * 20 + 1)) $((i * 20 + 20)); sleep 0.01; done; echo end) & {SERVE}"
    id_ = site.create("mnist", spec("mnist", script=script), wait=True)
    wait_for(lambda: lines(site, id_)[-1:] == ["end"])
    assert lines(site, id_) == [*numbers(1, 10000), "end"]


def test_a_container_that_writes_too_fast(site: Site) -> None:
    """Of lines that are written faster than the engine can read them, none comes twice, and a line says where some are missing."""
    text = "x" * 90
    script = f"(seq 1 400000 | sed 's/$/ {text}/'; sleep 2; echo 400001 end) & {SERVE}"
    id_ = site.create("mnist", spec("mnist", script=script), wait=True)
    wait_for(lambda: lines(site, id_)[-1:] == ["400001 end"])
    found = lines(site, id_)
    kept = [None if line == GAP else int(line.split()[0]) for line in found]
    for before, after in pairwise(kept):
        assert before is None or after is None or after == before + 1
    known = [number for number in kept if number]
    assert all(before < after for before, after in pairwise(known))
    assert all(line == GAP or line.endswith(f" {text}") for line in found[:-1])


def test_a_removed_container(site: Site) -> None:
    """A container that is removed by hand is replaced, and what was read of its log stays."""
    id_ = site.create("mnist", spec("mnist", script=f"echo begin; {SERVE}"), wait=True)
    wait_for(lambda: lines(site, id_) == ["begin"])
    site.docker.docker("rm", "--force", site.containers(id_)[0]["id"])
    wait_for(lambda: lines(site, id_) == ["begin"] * 2)
    site.ready(id_)


def test_a_gap(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the engine removes lines before they are read, a line says so, and no line comes twice."""
    monkeypatch.setitem(containers.LOG_CONFIG, "Config", {"max-size": "20k", "max-file": "2"})
    id_ = site.create("mnist", spec("mnist", script=f"seq 1 50; (sleep 2; seq 51 5000; echo end) & {SERVE}"), wait=True)
    wait_for(lambda: lines(site, id_) == numbers(1, 50))
    site.stop()
    time.sleep(2.5)
    site.start()
    wait_for(lambda: lines(site, id_)[-1] == "end")
    found = lines(site, id_)
    assert found[:51] == [*numbers(1, 50), GAP]
    assert found[51:-1] == numbers(int(found[51]), 5000)
    assert int(found[51]) > 51
