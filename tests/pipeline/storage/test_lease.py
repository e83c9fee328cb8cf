from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from subprocess import PIPE
from typing import Any

import pytest

from extract.errors import StoreError
from pipeline.storage.atomic import atomic
from pipeline.storage.location import names
from pipeline.store.layout import LOCK_FILE, Store, open_store
from pipeline.store.lock import check_token, writing

QUICK: dict[str, Any] = {
    "renew_seconds": 0.1,
    "watch_seconds": 60.0,
}  # a held lease is never unchanged for that long
SOON: dict[str, Any] = {"renew_seconds": 1.0, "watch_seconds": 0.3}  # an abandoned one soon is
STALE = {"pid": 7, "host": "gone", "since": "2020-01-01", "token": "theirs", "counter": 4}


@pytest.fixture
def store(bucket: Any) -> Store:
    return open_store(bucket / "out", create=True)


def lock(store: Store, text: bytes | None = None) -> Any:
    path: Any = store.root / LOCK_FILE
    if text is not None:
        path.fs.pipe_file(path.path, text)
    return json.loads(path.fs.cat_file(path.path))


def until(condition: Any) -> Iterator[None]:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield


def write(store: Store, name: str = "x") -> None:
    with store.write(store.root / name) as temporary:
        temporary.write_text("x")


def test_a_lease_is_held_renewed_and_given_back(store: Store) -> None:
    with writing(store, command="python -m extract", **QUICK) as (held, token):
        found = lock(store)
        assert (found["token"], found["pid"], found["command"]) == (token, os.getpid(), "python -m extract")
        for _ in until(lambda: lock(store)["counter"] >= 2):
            check_token(store, token)
        with pytest.raises(StoreError, match="no longer held by this run"):
            check_token(store, "other")
        write(held)
    assert names(store.root) == ["x"]
    with pytest.raises(StoreError, match="no longer held"):
        check_token(store, token)
    with writing(store, **QUICK) as again:
        assert again != token


def test_a_lease_that_is_renewed_is_respected(store: Store) -> None:
    message = f"being written by pid {os.getpid()} on .* since 20.*; wait for it or stop it"
    with writing(store, **QUICK), pytest.raises(StoreError, match=message), writing(store, **QUICK):
        pass


def test_an_abandoned_lease_is_taken_over(store: Store) -> None:
    for left in (json.dumps(STALE).encode(), b""):
        path: Any = store.root / LOCK_FILE
        path.fs.pipe_file(path.path, left)
        started = time.monotonic()
        with writing(store, **SOON) as (held, token):
            assert time.monotonic() - started >= SOON["watch_seconds"]
            assert lock(store)["token"] == token
            write(held)


def test_of_many_that_wait_for_an_abandoned_lease_one_gets_it(store: Store) -> None:
    lock(store, json.dumps(STALE).encode())
    held: list[str] = []
    refused: list[str] = []
    over = threading.Event()

    def run() -> None:
        try:
            with writing(store, **SOON) as (_, token):
                held.append(token)
                over.wait(30)
        except StoreError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in until(lambda: len(held) + len(refused) == 4):
        over.set()
    for thread in threads:
        thread.join()
    assert len(held) == 1 and all("is being written by" in why for why in refused)


def test_a_lease_that_was_taken_over_ends_the_writing(store: Store) -> None:
    message = r"by pid 7 on gone .* took over from this run"
    with pytest.raises(StoreError, match=message), writing(store, **QUICK) as (held, _):
        write(held, "before")
        lock(store, json.dumps(STALE).encode())
        for _ in until(lambda: _lost(held)):
            with pytest.raises(StoreError, match=message):
                write(held, "after")
    assert sorted(names(store.root)) == [LOCK_FILE, "before"]
    assert lock(store) == STALE  # and it is not given back


def _lost(held: Store) -> bool:
    try:
        assert held.check_held is not None
        held.check_held()
    except StoreError:
        return True
    return False


def test_a_lease_that_is_taken_while_a_file_is_made_keeps_it_out(store: Store) -> None:
    with (
        pytest.raises(StoreError, match="took over"),
        writing(store, **QUICK) as (held, _),
        held.write(store.root / "x"),
    ):
        lock(store, json.dumps(STALE).encode())
        for _ in until(lambda: _lost(held)):
            pass
    assert names(store.root) == [LOCK_FILE]


def test_a_lease_that_was_deleted_is_put_again(store: Store) -> None:
    with writing(store, **QUICK) as (held, token):
        path: Any = store.root / LOCK_FILE
        path.fs.rm_file(path.path)
        for _ in until(lambda: names(store.root) == [LOCK_FILE]):
            assert lock(store)["token"] == token
        write(held)


def test_storage_without_conditions_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fs: Any = store.root.fs  # type: ignore[union-attr]
    put = fs.pipe_file
    monkeypatch.setattr(fs, "pipe_file", lambda path, data, mode="": put(path, data))
    with pytest.raises(StoreError, match=r"no conditional writes \(If-None-Match\)"), writing(store):
        pass


def test_only_the_store_that_is_held_asks(store: Store) -> None:
    with pytest.raises(StoreError, match="took over"), writing(store, **QUICK) as (held, _):
        lock(store, json.dumps(STALE).encode())
        for _ in until(lambda: _lost(held)):
            pass
        with atomic(store.root / "another program's") as temporary:  # nothing hidden: no check was passed
            temporary.write_text("x")
        with pytest.raises(StoreError, match="took over"):
            write(held)
    assert sorted(names(store.root)) == [LOCK_FILE, "another program's"]


def at_next_put(store: Store, monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Run ``action`` once, after the next put to the store was decided and before it is done."""
    fs: Any = store.root.fs  # type: ignore[union-attr]
    put = fs.pipe_file
    waiting = [action]

    def late(*args: Any, **options: Any) -> Any:
        if waiting and options.get("mode") != "create":
            waiting.pop()()
        return put(*args, **options)

    monkeypatch.setattr(fs, "pipe_file", late)


def test_a_renewal_never_overwrites_a_takeover(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="took over"), writing(store, **QUICK) as (held, _):
        at_next_put(store, monkeypatch, lambda: lock(store, json.dumps(STALE).encode()))
        for _ in until(lambda: lock(store) == STALE and _lost(held)):
            pass
    assert lock(store) == STALE


def test_a_takeover_never_overwrites_a_renewal(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lock(store, json.dumps(STALE).encode())
    renewed = {**STALE, "counter": 5}
    at_next_put(store, monkeypatch, lambda: lock(store, json.dumps(renewed).encode()))
    with pytest.raises(StoreError, match="is being written by pid 7"), writing(store, **SOON):
        pass
    assert lock(store) == renewed


def test_a_lease_that_changes_at_every_renewal_is_not_trusted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that never fits (an ETag that the server does not know again) ends the writing."""
    fs: Any = store.root.fs  # type: ignore[union-attr]
    slow: dict[str, Any] = {"renew_seconds": 60.0, "watch_seconds": 0.2}
    with pytest.raises(StoreError, match="changes while it is renewed"), writing(store, **slow) as (held, _):
        monkeypatch.setattr(fs, "info", lambda path: {"ETag": '"0"'})
        time.sleep(0.2)
        write(held)
    assert names(store.root) == []


@pytest.mark.slow
def test_a_run_that_was_suspended_beyond_its_lease_leaves_the_next_one_alone(store: Store) -> None:
    """Two processes: the first is stopped, the second takes over, the first goes on and finds out."""
    code = (
        "import sys, time\n"
        "from pipeline.storage.location import location\n"
        "from pipeline.store.layout import open_store\n"
        "from pipeline.store.lock import writing\n"
        "store = open_store(location(sys.argv[1]), create=True)\n"
        "with writing(store, renew_seconds=0.1, watch_seconds=0.3) as (held, token):\n"
        "    print(token, flush=True)\n"
        "    while True: held.check_held(); time.sleep(0.01)"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(store.root)], stdout=PIPE, stderr=PIPE, text=True)
    try:
        assert run.stdout is not None
        first = run.stdout.readline().strip()
        assert first, run.communicate()
        assert lock(store)["token"] == first
        run.send_signal(signal.SIGSTOP)
        with writing(store, **SOON) as (held, token):
            run.send_signal(signal.SIGCONT)
            _, errors = run.communicate(timeout=30)
            assert run.returncode and "took over" in errors
            assert lock(store)["token"] == token != first
            write(held)
    finally:
        run.kill()
    assert names(store.root) == ["x"]
