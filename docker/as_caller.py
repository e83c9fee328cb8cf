#!/usr/bin/env python3
"""Run a command in the container as its caller would run it outside: ``as-caller COMMAND...``.

Compose starts the container as root, because a compose file cannot know who calls it. The working folder is
the caller's, mounted at its own path; so the command runs as the owner of that folder, and what it writes
belongs to the caller. Before, the command's paths are checked: for a folder that is not mounted the error
says how to mount it, and not that it does not exist.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

EXTRACT = ("python", "-m", "extract")
TRAIN = ("python", "-m", "train")
STORES = ("status", "verify")  # commands of extract that take a store without a flag
READ = ("--videos", "--weights", "--config", "--features", "--labels")
WRITTEN = ("--out", "--keep-flow", "--run")
IN_A_FOLDER = ("--config", "--labels", *WRITTEN)  # files, and folders that may not be there yet
PLACES = ("--scheduler", "--workers", "--gpus", "--dry-run")
SCHEDULER = "tls://scheduler:8786"  # the service of compose.yaml
DEFAULT_OUT = "features"
CONNECT_SECONDS = 1.0
CACHE = Path("/cache")


def main(command: Sequence[str]) -> NoReturn:
    """Become the caller, complete and check the command, and hand over to it."""
    become_owner(Path())
    outside = [(flag, path) for flag, path in paths(command) if not is_mounted(path, written=flag in WRITTEN)]
    if outside:
        refuse(how_to_mount(outside, command))
    certificates = own_cache() / "cluster"
    if is_run(command):
        command = [*command, *default_out(command)]
        look_for_cluster(command, certificates)
    elif tuple(command[:2]) == ("dask", "scheduler"):
        close_cluster(certificates)
    if command[:1] == ["dask"]:
        command = [*command, *tls_flags(certificates)]
    try:
        os.execvp(command[0], list(command))
    except (IndexError, OSError):
        refuse(f"{shlex.join(command)!r} is not a command; give one, such as: python -m extract --help")


def become_owner(folder: Path) -> None:
    """From root to the owner of ``folder``, for good. Who is not root stays who he is."""
    if os.getuid() != 0:
        return
    owner = folder.stat()
    if owner.st_uid == 0:
        return  # the caller is root
    os.setgroups([group for group in os.getgroups() if group != 0])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def is_run(command: Sequence[str]) -> bool:
    """Whether this extracts, and is no subcommand and no call for help."""
    arguments = command[len(EXTRACT) :]
    return tuple(command[: len(EXTRACT)]) == EXTRACT and any(value_of(arguments, "--videos", "--config"))


def default_out(command: Sequence[str]) -> list[str]:
    """``--out`` for a run that names none."""
    if any(value_of(command, "--out", "--config")):
        return []
    say(f"writing to {Path.cwd() / DEFAULT_OUT}; --out FOLDER chooses another folder")
    return ["--out", DEFAULT_OUT]


def look_for_cluster(command: Sequence[str], certificates: Path) -> None:
    """Name the scheduler of compose.yaml to a run that names no cluster, if it is up and the caller's own."""
    chosen = os.environ.get("MARQUEE_SCHEDULER") or any(a.partition("=")[0] in PLACES for a in command)
    if not chosen and certificates.is_dir() and answers(SCHEDULER):
        os.environ |= {"MARQUEE_SCHEDULER": SCHEDULER, "MARQUEE_CERTIFICATES": str(certificates)}
        say(f"a cluster is up at {SCHEDULER}; --workers 0 works without it")


def close_cluster(certificates: Path) -> None:
    """New certificates with every start of a scheduler: it and its workers hear nobody who has not these."""
    shutil.rmtree(certificates, ignore_errors=True)
    subprocess.run([*EXTRACT, "cluster-certificates", str(certificates)], check=True)


def tls_flags(certificates: Path) -> list[str]:
    """What makes Dask's scheduler or worker use them."""
    files = {"ca-file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    return [f"--tls-{flag}={certificates / name}" for flag, name in files.items()]


def value_of(command: Sequence[str], *flags: str) -> Iterator[str]:
    """The values of ``flags``, given as ``--flag VALUE`` or as ``--flag=VALUE``."""
    for argument, following in zip(command, [*command[1:], ""], strict=False):
        flag, equals, value = argument.partition("=")
        if flag in flags:
            yield value if equals else following


def paths(command: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """The flags of extract and train that name files of this machine, with their values."""
    if tuple(command[:3]) not in (EXTRACT, TRAIN):
        return
    for flag in (*READ, *WRITTEN):
        for value in value_of(command, flag):
            if value and "://" not in value:
                yield flag, Path(value)
    if len(command) > 4 and command[3] in STORES and "://" not in command[4]:
        yield command[3], Path(command[4])


def is_mounted(path: Path, *, written: bool) -> bool:
    """Whether ``path``, which need not exist yet, lies on a mounted folder (that can be written)."""
    place = path.resolve()
    while not place.exists():
        place = place.parent
    status = os.statvfs(place)
    on_host = place.stat().st_dev != Path("/").stat().st_dev
    return on_host and not (written and status.f_flag & os.ST_RDONLY)


def how_to_mount(outside: Sequence[tuple[str, Path]], command: Sequence[str]) -> str:
    """The error for paths that are not mounted, with the command that mounts them."""
    named = " and ".join(f"{flag} {path}" for flag, path in outside)
    folders = [path.resolve() for _, path in outside]
    folders = [p.parent if flag in IN_A_FOLDER else p for p, (flag, _) in zip(folders, outside, strict=True)]
    common = os.path.commonpath(folders)
    service, arguments = command[2], shlex.join(command[3:])
    if common == "/":
        mounts = " ".join(shlex.quote(f"--volume={folder}:{folder}") for folder in folders)
        again = f"docker compose run {mounts} {service} {arguments}"
    else:
        again = f"MARQUEE_DATA={shlex.quote(common)} docker compose run {service} {arguments}"
    return (
        f"{named}: not mounted in the container, which sees the current folder and, to read only, "
        f"your home folder; run this: {again}"
    )


def answers(address: str) -> bool:
    """Whether something listens at ``tls://HOST:PORT``."""
    place = urlsplit(address)
    try:
        socket.create_connection((place.hostname or "", place.port or 0), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def own_cache() -> Path:
    """Where weights, compiled kernels and certificates of this user are: others cannot enter it."""
    own = CACHE / str(os.getuid())
    try:
        own.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        own = Path("/tmp")  # no volume, or one that is not ours to write: lost with the container
    os.environ.setdefault("XDG_CACHE_HOME", str(own))
    os.environ.setdefault("NUMBA_CACHE_DIR", str(own / "numba"))
    os.environ.setdefault("TRITON_CACHE_DIR", str(own / "triton"))
    os.environ.setdefault("CUDA_CACHE_PATH", str(own / "cuda"))
    return own


def refuse(text: str) -> NoReturn:
    """End with an error as the command line words it, and with its status."""
    say(f"error: {text}")
    sys.exit(2)


def say(text: str) -> None:
    """One line for the person at the terminal."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
