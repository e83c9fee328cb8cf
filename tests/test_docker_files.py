"""The container files agree with each other and with the package; no engine is needed."""

from __future__ import annotations

import fnmatch
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from extract import opencv

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
AS_CALLER = ROOT / "docker" / "as_caller.py"
FILES = [
    ROOT / name
    for name in ("compose.yaml", ".dockerignore", *(f"docker/{p.name}" for p in (ROOT / "docker").iterdir()))
    if (ROOT / name).is_file()
]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(text("compose.yaml")))


@pytest.fixture(scope="module")
def gpu() -> dict[str, Any]:
    return dict(yaml.safe_load(text("docker/compose.gpu.yaml")))


@pytest.fixture(scope="module")
def as_caller() -> ModuleType:
    spec = importlib.util.spec_from_file_location("as_caller", AS_CALLER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def instructions(name: str) -> list[str]:
    """The Dockerfile's instructions of one name, without the name, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", text("docker/Dockerfile"))
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A command by way of ``as-caller``."""
    return subprocess.run(
        [sys.executable, str(AS_CALLER), *command], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_up_starts_the_cluster_and_nothing_else(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services.keys() == {"extract", "train", "scheduler", "worker"}
    assert {name for name, service in services.items() if "profiles" not in service} == {
        "scheduler",
        "worker",
    }


def test_services_call_the_packages(compose: dict[str, Any], as_caller: ModuleType) -> None:
    services = compose["services"]
    for name, module in (("extract", as_caller.EXTRACT), ("train", as_caller.TRAIN)):
        assert services[name]["entrypoint"] == ["as-caller", *module]
    assert as_caller.SCHEDULER in services["worker"]["command"]
    assert as_caller.SCHEDULER.endswith(":" + services["scheduler"]["command"][3])


def test_messages_name_the_commands_of_the_docs(compose: dict[str, Any]) -> None:
    for name in ("extract", "train"):
        launcher = compose["services"][name]["environment"]["MARQUEE_LAUNCHER"]
        assert f"{launcher} extract --videos DIR" in text("docs/docker.md")


def test_who_sees_the_callers_files_becomes_the_caller(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if "volumes" not in service:
            assert "user" not in service, f"{name} runs as the image's own user"
            continue
        assert service["entrypoint"][0] == "as-caller" if "entrypoint" in service else True
        assert service["cap_drop"] == ["ALL"] and "no-new-privileges" in service["security_opt"]
        assert "privileged" not in service


def test_paths_mean_the_same_inside(compose: dict[str, Any]) -> None:
    service = compose["services"]["extract"]
    binds = [volume for volume in service["volumes"] if isinstance(volume, dict)]
    variable = re.compile(r"\$\{(\w+)")
    for bind in binds:
        assert variable.findall(bind["source"]) == variable.findall(bind["target"])
    assert {variable.findall(b["source"])[0]: b.get("read_only", False) for b in binds} == {
        "HOME": True,
        "PWD": False,
        "MARQUEE_DATA": False,
    }
    assert variable.findall(service["working_dir"]) == ["PWD"]
    assert compose["services"]["worker"]["volumes"] == service["volumes"]


def test_cpu_services_ask_for_no_gpu_and_the_override_does(
    compose: dict[str, Any], gpu: dict[str, Any]
) -> None:
    assert not any("deploy" in service for service in compose["services"].values())
    assert gpu["services"].keys() == compose["services"].keys(), "one image for all"
    for name in ("extract", "train", "worker"):
        (device,) = gpu["services"][name]["deploy"]["resources"]["reservations"]["devices"]
        assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]
    images = {service["image"] for service in gpu["services"].values()}
    assert len(images) == 1 and images != {service["image"] for service in compose["services"].values()}


def test_long_running_services_are_watched(compose: dict[str, Any]) -> None:
    assert "HEALTH_URL" in instructions("HEALTHCHECK")[0]
    for name in ("scheduler", "worker"):
        service = compose["services"][name]
        port = re.search(r":(\d+)/", service["environment"]["HEALTH_URL"])
        assert port is not None and f":{port[1]}" in service["command"]


def test_the_image_is_built_in_stages_and_is_not_root() -> None:
    assert len(instructions("FROM")) == 2
    assert instructions("USER")[-1] not in ("root", "0")
    assert instructions("ENTRYPOINT") == ['["as-caller"]']
    assert instructions("VOLUME") == ["/cache"]
    copied = next(line.split() for line in instructions("COPY") if line.endswith("/as-caller"))
    assert os.access(ROOT / copied[0], os.X_OK)


def test_older_builders_can_build_it() -> None:
    assert not re.search(
        r"^# *syntax|RUN --mount|COPY --(chmod|link)|<<", text("docker/Dockerfile"), re.MULTILINE
    )


def test_build_arguments_are_those_of_compose(compose: dict[str, Any]) -> None:
    passed = compose["x-marquee"]["build"]["args"]
    declared = dict(line.partition("=")[::2] for line in instructions("ARG"))
    assert passed.keys() == declared.keys()
    for name, default in declared.items():
        assert re.fullmatch(r"\$\{" + name + r":?-(.*)\}", passed[name]), name
        assert re.findall(r"-(.*)\}$", passed[name]) == [default]
        assert f"`{name}`" in text("docs/docker.md"), "docs/docker.md explains it"


def test_extras_exist(gpu: dict[str, Any]) -> None:
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    defaults = [next(line for line in instructions("ARG") if line.startswith("EXTRAS=")).partition("=")[2]]
    defaults += re.findall(r"-(.*)\}", gpu["x-image"]["build"]["args"]["EXTRAS"])
    assert len(defaults) == 2
    assert {extra for default in defaults for extra in default.split(",")} <= extras.keys()


def test_the_context_has_what_is_copied_and_all_packages() -> None:
    let_in = [line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")]
    own = [line for line in instructions("COPY") if not line.startswith("--from")]
    copied = {source for line in own for source in line.split()[:-1]} - {"."}
    include = tomllib.loads(text("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]["include"]
    assert copied <= set(let_in)
    assert all(any(fnmatch.fnmatch(name, pattern) for name in let_in) for pattern in include)
    assert all((ROOT / name).exists() for name in let_in if name != "train")


def test_no_registry_is_named() -> None:
    for path in FILES:
        content = path.read_text(encoding="utf-8")
        hosts = set(re.findall(r"https?://([\w.-]+)", content))
        assert hosts <= {"127.0.0.1"}, path.name
    image = next(line for line in instructions("ARG") if line.startswith("BASE_IMAGE=")).partition("=")[2]
    assert "/" not in image


def test_all_opencv_but_the_wanted_one_are_left_out() -> None:
    (left_out,) = re.findall(r"'%s\\n' (.*) > left-out.txt", text("docker/install.sh"))
    assert {*left_out.split(), opencv.WANTED} == set(opencv.DISTRIBUTIONS)


@pytest.mark.parametrize("script", sorted((ROOT / "docker").glob("*.sh")), ids=lambda path: path.name)
def test_scripts_parse(script: Path) -> None:
    shell = script.read_text(encoding="utf-8").partition("\n")[0].split()[-1].rpartition("/")[2]
    subprocess.run([shell, "-n", str(script)], check=True)


def test_a_command_goes_through_with_its_status() -> None:
    done = run("sh", "-c", 'echo "$1"; exit 7', "sh", "a  b")
    assert (done.returncode, done.stdout) == (7, "a  b\n")


@pytest.mark.parametrize("command", [(), ("no-such-command",)])
def test_what_is_no_command_is_one_line(command: Sequence[str]) -> None:
    done = run(*command)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_command_runs_as_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 5678)
    assert run("sh", "-c", "id -u; id -g; id -G", cwd=tmp_path).stdout.split() == ["1234", "5678", "5678"]
    os.chown(tmp_path, 0, 0)
    assert run("id", "-u", cwd=tmp_path).stdout == "0\n"


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (["--videos", "/no-such/videos"], "MARQUEE_DATA=/no-such/videos docker compose run extract --videos"),
        (
            ["--videos=/no such/a"],
            "MARQUEE_DATA='/no such/a' docker compose run extract '--videos=/no such/a'",
        ),
        (["--videos", "/no-such/a", "--out", "/no-such/b/c"], "MARQUEE_DATA=/no-such docker compose run"),
        (["--videos", "/no-a", "--out", "/no-b/c"], "run --volume=/no-a:/no-a --volume=/no-b:/no-b extract"),
        (["verify", "/no-such/store"], "MARQUEE_DATA=/no-such/store docker compose run extract verify"),
    ],
)
def test_a_path_that_is_not_mounted_gets_the_line_that_mounts_it(arguments: list[str], fix: str) -> None:
    done = run("python", "-m", "extract", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert fix in done.stderr


def test_what_is_mounted_is_seen(as_caller: ModuleType) -> None:
    assert as_caller.is_mounted(Path("/proc/no-such-thing"), written=False)
    assert not as_caller.is_mounted(Path("/no-such-thing"), written=False)


def test_locations_elsewhere_are_no_paths(as_caller: ModuleType) -> None:
    command = [*as_caller.EXTRACT, "--videos", "s3://bucket/videos", "--out", "s3://bucket/out"]
    assert list(as_caller.paths(command)) == []


def test_a_run_without_out_gets_one(as_caller: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    command = [*as_caller.EXTRACT, "--videos", "videos"]
    assert as_caller.default_out(command) == ["--out", as_caller.DEFAULT_OUT]
    assert "--out" in capsys.readouterr().err
    assert as_caller.default_out([*command, "--out", "x"]) == []
    assert as_caller.default_out([*as_caller.EXTRACT, "--config=x.toml"]) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--videos", "x"], True),
        (["--config=x"], True),
        (["status", "x"], False),
        (["--help"], False),
        ([], False),
    ],
)
def test_what_a_run_is(as_caller: ModuleType, arguments: list[str], expected: bool) -> None:
    assert as_caller.is_run([*as_caller.EXTRACT, *arguments]) is expected
    assert not as_caller.is_run([*as_caller.TRAIN, *arguments])


def test_a_cluster_that_is_up_is_used(
    as_caller: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Unless the caller named another one, or none, or it is another user's."""
    mine = tmp_path
    monkeypatch.setenv("MARQUEE_CERTIFICATES", "")
    run_of = [*as_caller.EXTRACT, "--videos", "x"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tls://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(as_caller, "SCHEDULER", address)
        monkeypatch.setenv("MARQUEE_SCHEDULER", "")
        as_caller.look_for_cluster([*run_of, "--workers=0"], mine)
        as_caller.look_for_cluster(run_of, tmp_path / "of nobody")
        assert os.environ["MARQUEE_SCHEDULER"] == ""
        as_caller.look_for_cluster(run_of, mine)
        assert os.environ["MARQUEE_SCHEDULER"] == address
        assert os.environ["MARQUEE_CERTIFICATES"] == str(mine)
        monkeypatch.setenv("MARQUEE_SCHEDULER", "tcp://other:1")
        as_caller.look_for_cluster(run_of, mine)
        assert os.environ["MARQUEE_SCHEDULER"] == "tcp://other:1"
    monkeypatch.setenv("MARQUEE_SCHEDULER", "")
    as_caller.look_for_cluster(run_of, mine)
    assert os.environ["MARQUEE_SCHEDULER"] == "", "nothing listens there any more"


def test_compiled_kernels_are_kept_with_the_weights(
    as_caller: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_caller, "CACHE", tmp_path)
    names = ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    as_caller.own_cache()
    assert all(Path(os.environ[name]).is_relative_to(tmp_path) for name in names)


def test_the_gpu_image_has_a_compiler_for_tritons_helper(gpu: dict[str, Any]) -> None:
    assert gpu["x-image"]["build"]["args"]["APT_PACKAGES"].split()[:2] == ["gcc", "libc6-dev"]


@pytest.mark.slow
def test_tritons_helper_is_compiled_or_the_remedy_told(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    command = [sys.executable, str(ROOT / "docker" / "kernel_helper.py")]
    cache = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=cache, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
    bare = {**cache, "TRITON_CACHE_DIR": str(tmp_path / "other"), "PATH": ""}
    refused = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert "APT_PACKAGES='gcc libc6-dev'" in refused.stderr


def test_the_pins_of_the_gpu_image_are_those_that_dask_cuda_asks_for() -> None:
    """``docker/resolve.sh`` asks an index; these lines must not drift apart in the meantime."""
    pins = dict(line.split("==") for line in text("constraints.txt").splitlines() if "==" in line)
    assert pins["dask"] == pins["distributed"]
    assert pins["dask-cuda"] == pins["rapids-dask-dependency"]
    assert "docker-resolve" in text(".ci/run")


def test_dask_is_started_with_the_certificates_of_the_caller(
    compose: dict[str, Any], gpu: dict[str, Any], as_caller: ModuleType, tmp_path: Path
) -> None:
    """The scheduler by its own command, on loopback; it has new certificates with every start."""
    certificates_module = pytest.importorskip("pipeline.work.certificates")
    from distributed import Client

    for one in (compose["services"]["worker"], gpu["services"]["worker"]):
        assert as_caller.SCHEDULER in one["command"] and "entrypoint" not in one
    script = tmp_path / "as_caller.py"
    script.write_text(AS_CALLER.read_text().replace('Path("/cache")', f"Path({str(tmp_path)!r})"))
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, "XDG_CACHE_HOME": ""}
    command = ["0" if part == "8786" else part for part in compose["services"]["scheduler"]["command"][:4]]
    certificates = tmp_path / str(os.getuid()) / "cluster"
    keys = set()
    for _ in range(2):
        scheduler = subprocess.Popen(
            [sys.executable, str(script), *command, "--host", "127.0.0.1", "--no-dashboard"],
            cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert scheduler.stderr is not None
            found = (re.search(r"Scheduler at: +(\S+)", line) for line in scheduler.stderr)
            address = next(match[1] for match in found if match)
            security = certificates_module.read_certificates(certificates)
            with Client(address, security=security, timeout=60, set_as_default=False) as client:
                assert client.scheduler_info()["workers"] == {}
        finally:
            scheduler.kill()
            scheduler.communicate()
        assert address.startswith("tls://127.0.0.1:")
        keys.add((certificates / "key.pem").read_bytes())
    assert len(keys) == 2
