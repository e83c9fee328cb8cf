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
pytest.importorskip("cryptography")

from pipeline.work.certificates import make_certificates  # noqa: E402

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "cluster"
PAGE = ROOT / "docs" / "cluster.md"
PAGES = (PAGE, ROOT / "docs" / "howto" / "slurm.md")
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
BATCH = sorted(FOLDER.glob("*.sbatch"))
PROGRAMS = ("extract", "dask worker", "dask scheduler")


def said() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


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
    for block in re.findall(r"```sh\n(.*?)```", said(), re.DOTALL):
        for line in block.splitlines():
            if "python" in line or "slurm-driver" in line or line.startswith("dask "):
                ours = re.sub(
                    r"slurm-driver.sbatch \S+ \S+|docs/cluster/slurm_jobqueue.py", "-m extract", line
                )
                yield PAGE.name, ours.partition("#")[0]


@pytest.mark.parametrize(("where", "command"), list(commands()))
def test_flags_exist(where: str, command: str) -> None:
    found = program(command)
    assert found is not None, command
    flags = {word.partition("=")[0] for word in shlex.split(command) if word.startswith("--")}
    assert flags <= options(found)
    assert flags or "cluster-certificates" in command


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
    assert len(found) == 4
    for command in found:
        assert re.search(r"--nthreads[ =]2 .*--memory-limit[ =]0 ", command)


def test_manifests_agree() -> None:
    found = list(objects())
    assert len({container["image"] for container in containers()}) == 1
    (service,) = [entry for entry in found if entry["kind"] == "Service"]
    address = f"tls://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    named = re.findall(r"\w+://[^\s'\"]+", " ".join(shlex.join(c["args"]) for c in containers()))
    assert set(named) == {address} and len(named) == 3, "two kinds of workers, and the driver"
    (cluster,) = [entry for entry in found if entry["kind"] == "DaskCluster"]
    assert address.startswith(f"tls://{cluster['metadata']['name']}-scheduler:"), "the operator's name for it"
    claims = {claim["claimName"] for claim in within(found, "persistentVolumeClaim")}
    assert claims == {e["metadata"]["name"] for e in found if e["kind"] == "PersistentVolumeClaim"}
    for entry in found:
        if entry["kind"] == "Deployment":
            assert entry["spec"]["selector"]["matchLabels"] == entry["spec"]["template"]["metadata"]["labels"]
    for container in containers():
        mounted = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
        assert mounted == {"/certificates"} | (
            set() if container["name"] == "scheduler" else {"/data", "/tmp"}
        )


def test_everything_shows_the_certificates() -> None:
    """All files of a kind name the same three, and nothing is left that speaks without them."""
    flags = {"--tls-ca-file": "ca.pem", "--tls-cert": "cert.pem", "--tls-key": "key.pem"}
    for where, command in commands():
        words = shlex.split(command.replace("=", " "))
        if program(command) == "extract":
            assert ("--scheduler" in words) == ("--certificates" in words) or where == PAGE.name, command
        else:
            found = {word: words[words.index(word) + 1] for word in words if word in flags}
            assert {flag: Path(file).name for flag, file in found.items()} == flags, command
            assert {str(Path(file).parent) for file in found.values()} < {
                "/certificates",
                "$certificates",
                ".",
            }
    assert not re.search(r"tcp://(?!HOST)", "".join(p.read_text("utf-8") for p in FOLDER.iterdir()))


def test_the_secret_is_made_as_it_is_mounted() -> None:
    secrets = list(within(list(objects()), "secret"))
    assert len(secrets) == 5 and all(secret == secrets[0] for secret in secrets)
    assert secrets[0]["defaultMode"] == 0o440, "for the pod's group, which is the user's own"
    assert f"create secret generic {secrets[0]['secretName']} --from-file=" in PAGE.read_text(
        encoding="utf-8"
    )
    for pod in within(list(objects()), "securityContext"):
        assert pod["runAsUser"] == pod["fsGroup"] == 1000


def test_no_other_pod_reaches_the_ports() -> None:
    plain, operator = (
        [entry for entry in yaml.safe_load_all((FOLDER / name).read_text("utf-8")) if entry]
        for name in ("kubernetes-cluster.yaml", "kubernetes-operator.yaml")
    )
    (rule,) = [entry["spec"] for entry in plain if entry["kind"] == "NetworkPolicy"]
    assert rule["policyTypes"] == ["Ingress"]
    assert rule["ingress"] == [{"from": [{"podSelector": rule["podSelector"]}]}]
    labels = {
        entry["spec"]["template"]["metadata"]["labels"]["app"]
        for entry in plain
        if entry["kind"] == "Deployment"
    }
    (job,) = [entry for entry in objects() if entry["kind"] == "Job"]
    driver = job["spec"]["template"]["metadata"]["labels"]
    assert rule["podSelector"]["matchExpressions"] == [
        {"key": "app", "operator": "In", "values": [*sorted(labels), driver["app"]]}
    ]
    (rule,) = [entry["spec"] for entry in operator if entry["kind"] == "NetworkPolicy"]
    own = {"podSelector": rule["podSelector"]}
    assert rule["podSelector"] == {"matchLabels": {"dask.org/cluster-name": operator[0]["metadata"]["name"]}}
    assert rule["ingress"] == [{"from": [own, {"podSelector": {"matchLabels": driver}}]}]


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
    assert "certificates=${MARQUEE_CERTIFICATES:-$HOME/.marquee-cluster}\n" in text
    assert "cluster_file=${MARQUEE_CLUSTER_FILE:-$certificates/scheduler.json}\n" in text
    head = text.partition("\nset -u")[0]
    assert all(line.startswith("#") for line in head.splitlines() if line), "sbatch reads no further"


def test_the_jobqueue_script_parses() -> None:
    tree = ast.parse((FOLDER / "slurm_jobqueue.py").read_text(encoding="utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {"--scheduler", "--certificates"} <= strings & options("extract")
    assert "--memory-limit" in strings & options("dask worker")


def test_the_jobqueue_script_makes_a_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="no dask-jobqueue here")
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)  # for its folder of logs
    monkeypatch.setenv("MARQUEE_CERTIFICATES", "certificates")
    make_certificates(tmp_path / "certificates")
    import slurm_jobqueue

    with slurm_jobqueue.cluster() as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=8" in script and "#SBATCH --gres=gpu:1" in script
    command = script[script.index(sys.executable) :].strip()
    assert "--nthreads 2 " in command and " --memory-limit 0 " in command.rpartition("--memory-limit auto")[2]
    assert f" --tls-key {tmp_path / 'certificates' / 'key.pem'}" in command and "tls://" in command


def test_the_pages_name_every_file_and_every_column() -> None:
    assert [path.name for path in sorted(FOLDER.iterdir()) if f"cluster/{path.name})" not in said()] == []
    for figure in WorkerStatus().figures():
        assert figure.removesuffix(" busy %") in said()
