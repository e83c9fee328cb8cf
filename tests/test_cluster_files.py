"""The files of docs/cluster parse, agree with each other, and name flags that exist."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.work.worker_status import WorkerStatus

yaml = pytest.importorskip("yaml")
pytest.importorskip("distributed")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "cluster"
PAGE = ROOT / "docs" / "cluster.md"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
BATCH = sorted(FOLDER.glob("*.sbatch"))
PROGRAMS = ("extract", "dask worker", "dask scheduler")


def options(program: str) -> set[str]:
    """The flags of a command."""
    import typer.main
    from distributed.cli import dask_scheduler, dask_worker

    from pipeline.cli.commands import app

    commands: dict[str, Any] = {
        "extract": typer.main.get_command(app),
        "dask worker": dask_worker.main,
        "dask scheduler": dask_scheduler.main,
    }
    return {flag for option in commands[program].params for flag in (*option.opts, *option.secondary_opts)}


def program(command: str) -> str | None:
    """Which of the programs a command line calls."""
    return next((name for name in PROGRAMS if re.search(rf"(^|-m ){name} ", command)), None)


def objects() -> Iterator[dict[str, Any]]:
    for path in MANIFESTS:
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def within(tree: Any, key: str) -> Iterator[Any]:
    """All values of a key, however deep."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from within(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from within(value, key)


def containers() -> list[dict[str, Any]]:
    return [container for group in within(list(objects()), "containers") for container in group]


def commands() -> Iterator[tuple[str, str]]:
    """Every command line of ours or Dask's: where it stands, and the line."""
    for container in containers():
        yield container["name"], shlex.join(container["args"])
    for path in BATCH:
        joined = re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8"))
        for line in re.findall(r"^[^#\n]*\"\$python\" (-m .*)$", joined, re.MULTILINE):
            yield path.name, line.removesuffix("&")
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.splitlines():
            if "python" in line or "slurm-driver" in line:
                ours = re.sub(
                    r"slurm-driver.sbatch \S+ \S+|docs/cluster/slurm_jobqueue.py", "-m extract", line
                )
                yield PAGE.name, ours.partition("#")[0]


@pytest.mark.parametrize(("where", "command"), list(commands()))
def test_flags_exist(where: str, command: str) -> None:
    found = program(command)
    assert found is not None, command
    flags = {word.partition("=")[0] for word in shlex.split(command) if word.startswith("--")}
    assert flags and flags <= options(found)


def test_all_three_programs_are_called_on_every_platform() -> None:
    called = {(where, program(command)) for where, command in commands()}
    driver, workers = (path.name for path in BATCH)
    assert {("scheduler", "dask scheduler"), ("worker", "dask worker"), ("extract", "extract")} <= called
    assert {(driver, "dask scheduler"), (driver, "extract"), (workers, "dask worker")} <= called


def test_flags_of_the_page_exist() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("\n## Flags\n")[2].partition("\n## ")[0]
    flags = set(re.findall(r"`(--[a-z-]+)", table))
    assert len(flags) > 4 and flags <= options("extract")


def test_workers_take_two_shards_and_have_no_second_memory_limit() -> None:
    found = [command for _, command in commands() if program(command) == "dask worker"]
    assert len(found) == 3
    for command in found:
        words = shlex.split(command)
        assert words[words.index("--nthreads") + 1] == "2"
        assert words[words.index("--memory-limit") + 1] == "0"


def test_manifests_agree() -> None:
    found = list(objects())
    assert len({container["image"] for container in containers()}) == 1
    (service,) = [entry for entry in found if entry["kind"] == "Service"]
    address = f"tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    named = re.findall(r"tcp://[^\s'\"]+", " ".join(shlex.join(c["args"]) for c in containers()))
    assert set(named) == {address} and len(named) == 2
    (cluster,) = [entry for entry in found if entry["kind"] == "DaskCluster"]
    assert address.startswith(f"tcp://{cluster['metadata']['name']}-scheduler:"), "the operator's name for it"
    claims = {claim["claimName"] for claim in within(found, "persistentVolumeClaim")}
    assert claims == {e["metadata"]["name"] for e in found if e["kind"] == "PersistentVolumeClaim"}
    for entry in found:
        if entry["kind"] == "Deployment":
            assert entry["spec"]["selector"]["matchLabels"] == entry["spec"]["template"]["metadata"]["labels"]
    for container in containers():
        mounted = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
        assert mounted == (set() if container["name"] == "scheduler" else {"/data", "/tmp"})


def test_a_run_with_recorded_failures_is_not_repeated() -> None:
    (job,) = [entry for entry in objects() if entry["kind"] == "Job"]
    (codes,) = within(job["spec"]["podFailurePolicy"], "onExitCodes")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert codes == {"containerName": container["name"], "operator": "In", "values": [3]}
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never", "else the policy is refused"


@pytest.mark.parametrize("path", BATCH, ids=lambda path: path.name)
def test_batch_scripts_parse_and_share_the_file(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)
    text = path.read_text(encoding="utf-8")
    assert "cluster_file=${MARQUEE_CLUSTER_FILE:-$HOME/marquee-cluster.json}" in text
    head = text.partition("\nset -u")[0]
    assert all(line.startswith("#") for line in head.splitlines() if line), "sbatch reads no further"


def test_the_jobqueue_script_parses() -> None:
    tree = ast.parse((FOLDER / "slurm_jobqueue.py").read_text(encoding="utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert "--scheduler" in strings & options("extract")
    assert "--memory-limit" in strings & options("dask worker")


def test_the_jobqueue_script_makes_a_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="no dask-jobqueue here")
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)  # for its folder of logs
    import slurm_jobqueue

    with slurm_jobqueue.cluster() as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=8" in script and "#SBATCH --gres=gpu:1" in script
    command = script[script.index(sys.executable) :].strip()
    assert shlex.split(command)[-2:] == ["--memory-limit", "0"] and "--nthreads 2 " in command


def test_the_page_names_every_file_and_every_column() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [path.name for path in sorted(FOLDER.iterdir()) if f"(cluster/{path.name})" not in page] == []
    for figure in WorkerStatus().figures():
        assert figure.removesuffix(" busy %") in page
