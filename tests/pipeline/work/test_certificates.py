"""Who may speak to a scheduler: those that hold its certificates, and no other user of the machine."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from extract.errors import UsageError
from pipeline import Cluster
from pipeline.store.layout import open_store
from pipeline.store.verify import verify
from pipeline.work.driver import ClusterError
from tests.pipeline.runs import ROOT, TABLES, contents, go, in_order, start

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
pytest.importorskip("cryptography")

from cryptography import x509  # noqa: E402
from distributed import Security  # noqa: E402

from pipeline.work.certificates import make_certificates, read_certificates  # noqa: E402

NOBODY = 65534

# What an attacker would do: run a function on whatever answers as a scheduler.
ATTACK = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from distributed import Client, Security
import distributed.client, distributed.comm.tcp, distributed.protocol, cloudpickle

user, addresses, *files = sys.argv[1:]
if user:
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
names = ("tls_ca_file", "tls_client_cert", "tls_client_key")
security = Security(require_encryption=False, **dict(zip(names, files)))

def attack(address):
    try:
        with Client(address, security=security, timeout="2s", set_as_default=False) as client:
            return client.run_on_scheduler(os.getpid)
    except Exception as error:
        return repr(error)

addresses = addresses.split(",")
with ThreadPoolExecutor(len(addresses)) as threads:
    for result in threads.map(attack, addresses):
        print("ran in process" if isinstance(result, int) else "refused:", result)
"""


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    make_certificates(tmp_path / "certificates")
    return tmp_path / "certificates"


def listening(driver: int) -> set[tuple[str, int]]:
    """Every address that a process, or one below it, listens at."""
    found = set()
    for process in (psutil.Process(driver), *psutil.Process(driver).children(recursive=True)):
        try:
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN or not connection.raddr:
                    found.add((connection.laddr.ip, connection.laddr.port))
        except psutil.Error:  # it ended just now
            continue
    return found


def attack(*addresses: str, files: Sequence[Path] = (), as_nobody: bool = False) -> str:
    """Try to run code on schedulers, from a process of its own; what came of it, a line for each."""
    # Who changes once Python is up can do so wherever Python lies.
    user = str(NOBODY) if as_nobody and os.getuid() == 0 else ""
    command = [sys.executable, "-c", ATTACK, user, ",".join(addresses), *map(str, files)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd="/").stdout


@pytest.mark.slow
@pytest.mark.usefixtures("planted_experts")
def test_workers_of_this_machine_are_closed_to_its_other_users(videos: Path, tmp_path: Path) -> None:
    """All that a run listens at is loopback, and speaks to nobody who has not the certificates of the run."""
    out = tmp_path / "features"
    driver = start(videos, out, "--workers", "2")
    seen: set[tuple[str, int]] = set()
    attacked: set[tuple[str, int]] = set()
    deadline = time.monotonic() + 200
    while driver.poll() is None and not list(out.glob("trouble/part-*")):
        assert time.monotonic() < deadline
        seen |= (now := listening(driver.pid))
        if not attacked and len(now) >= 5:  # at once: a run that is over takes its workers along
            attacked = now
            came = attack(*(f"tcp://{host}:{port}" for host, port in attacked), as_nobody=True)
        time.sleep(0.2)
    assert driver.wait(timeout=240) == 3, driver.communicate()[0].decode()
    assert {host for host, _ in seen} <= {"127.0.0.1", "::1"}
    assert len(attacked) >= 5, "a scheduler, its page, two nannies, two workers"
    assert came.count("refused") == len(attacked)


class TlsCluster:
    """A scheduler and a worker as docs/cluster starts them, with certificates."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        self._flags = [
            f"--tls-{flag}={certificates / name}"
            for flag, name in (("ca-file", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem"))
        ]
        self._folder = folder
        file = folder / "scheduler.json"
        self.processes = [
            self._run("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        ]
        deadline = time.monotonic() + 60
        while not file.exists() or not file.read_text().endswith("}"):
            assert time.monotonic() < deadline, (folder / "scheduler.log").read_text()
            time.sleep(0.05)
        self.processes.append(
            self._run("worker", "--scheduler-file", str(file), "--nthreads", "2", "--memory-limit", "0")
        )
        self.address = str(json.loads(file.read_text())["address"])

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *arguments, *self._flags, "--no-dashboard"]
        with (self._folder / f"{arguments[0]}.log").open("wb") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def end(self) -> None:
        for process in self.processes:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


@pytest.fixture
def anywhere() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def closed(tmp_path: Path, certificates: Path) -> Iterator[TlsCluster]:
    cluster = TlsCluster(tmp_path, certificates)
    yield cluster
    cluster.end()


@pytest.mark.slow
@pytest.mark.usefixtures("planted_experts")
def test_only_who_holds_the_certificates_runs_code(
    videos: Path, whole: Path, tmp_path: Path, certificates: Path, closed: TlsCluster
) -> None:
    make_certificates(tmp_path / "foreign")
    own, foreign = (
        [folder / f"{name}.pem" for name in ("ca", "cert", "key")]
        for folder in (certificates, tmp_path / "foreign")
    )
    assert closed.address.startswith("tls://")
    assert "ran in process" in attack(closed.address, files=own)
    for files in ([], foreign, [own[0], *foreign[1:]]):
        assert attack(closed.address, files=files, as_nobody=True).startswith("refused")
    assert attack(closed.address.replace("tls:", "tcp:"), as_nobody=True).startswith("refused")
    soon = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    wrong = Cluster(scheduler=closed.address, certificates=tmp_path / "foreign")
    with soon, pytest.raises(ClusterError, match=r"no Dask scheduler answers at .* to the certificates of"):
        go(videos, tmp_path / "refused", cluster=wrong)

    out = tmp_path / "features"
    driver = start(videos, out, "--scheduler", closed.address, "--certificates", str(certificates))
    text = driver.communicate(timeout=240)[0].decode()
    assert driver.returncode == 3, text
    assert "warning" not in text
    mine, theirs = contents(out), contents(whole)
    for name in (*TABLES, "coverage", "failures", "videos"):
        assert in_order(mine[name]) == in_order(theirs[name])
    assert verify(open_store(out)).clean


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
def test_another_user_cannot_read_the_key(certificates: Path, closed: TlsCluster, anywhere: Path) -> None:
    """The same files, in folders that everybody may enter: for the owner alone, then given away."""
    own = shutil.copytree(certificates, anywhere / "own")
    given = shutil.copytree(certificates, anywhere / "given")
    files = {folder: [folder / f"{name}.pem" for name in ("ca", "cert", "key")] for folder in (own, given)}
    for path in (given, *given.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    assert "Permission denied" in attack(closed.address, files=files[own], as_nobody=True)
    assert "ran in process" in attack(closed.address, files=files[given], as_nobody=True)


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        end = make_certificates(tmp_path / "new" / "folder", days=30)
    finally:
        os.umask(old)
    folder = tmp_path / "new" / "folder"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == dict.fromkeys(
        ("ca.pem", "cert.pem", "key.pem"), 0o600
    )
    assert end == x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes()).not_valid_after_utc


def test_certificates_hold_before_the_rules_of_openssl(certificates: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    for purpose in ("sslserver", "sslclient"):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile"]
        subprocess.run([*command, certificates / "ca.pem", certificates / "cert.pem"], check=True)


@pytest.mark.parametrize("there", ["key.pem", "letter.txt"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    tmp_path.chmod(0o755)
    with pytest.raises(UsageError, match=rf"has '{there}' in it: give a new or empty folder"):
        make_certificates(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"cannot write to .*file: .*give a new folder"):
        make_certificates(tmp_path / "file")


def test_what_cannot_be_used_is_said(certificates: Path, tmp_path: Path) -> None:
    key = certificates / "key.pem"
    key.chmod(0o644)
    with pytest.raises(UsageError, match=r"key\.pem can be read by others \(mode 0644\): run chmod 600"):
        read_certificates(certificates)
    key.chmod(0o600)
    assert isinstance(read_certificates(certificates), Security)
    content = key.read_bytes()
    for damaged in (b"", b"no key", (certificates / "cert.pem").read_bytes()):
        key.write_bytes(damaged)
        with pytest.raises(UsageError, match="are not an authority, a certificate and its key"):
            read_certificates(certificates)
    make_certificates(tmp_path / "foreign")
    key.write_bytes((tmp_path / "foreign" / "key.pem").read_bytes())
    with pytest.raises(UsageError, match="are not an authority, a certificate and its key"):
        read_certificates(certificates)
    key.write_bytes(content)
    make_certificates(tmp_path / "old", days=-1)
    with pytest.raises(UsageError, match=r"valid from .* to .*, which is not now: make new ones"):
        read_certificates(tmp_path / "old")
    key.unlink()
    with pytest.raises(UsageError, match=r"cannot read .*key\.pem: No such file.*cluster-certificates DIR"):
        read_certificates(certificates)


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes files of root's")
def test_a_key_of_roots_may_be_for_a_group(certificates: Path) -> None:
    """Kubernetes mounts a Secret so: root's, and readable by the group of the pod."""
    (certificates / "key.pem").chmod(0o440)
    assert isinstance(read_certificates(certificates), Security)
