"""The house stands: whole locks that name no index, links that lead somewhere, imports one way, a whole sample."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from tests.conftest import LONG, group_of

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["runtime", "dev", "bench", "tool"]
BINARY = {".parquet", ".gz", ".zst", ".png"}


@cache
def committed() -> tuple[Path, ...]:
    """What git tracks, and what it would track; every file but the obviously generated where there is no git."""
    git = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if git.returncode == 0:
        names = [name for name in git.stdout.split("\0") if name]
        return tuple(path for name in names if (path := ROOT / name).is_file())
    skipped = {".venv", "target", "logs", "__pycache__", "build", "dist"}
    return tuple(
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(part in skipped or part.endswith("_cache") for part in path.relative_to(ROOT).parts)
    )


def text_of(path: Path) -> str:
    return "" if path.suffix in BINARY else path.read_text(encoding="utf-8", errors="replace")


# --- packages --------------------------------------------------------------------------------------------------------


def test_no_committed_file_names_a_package_index() -> None:
    # Built from parts, so that this file does not find itself.
    hosts = ["py" + "pi.org", "python" + "hosted.org", "py" + "pi.python.org", "ana" + "conda.org", "npm" + "js.org"]
    settings = [
        "--" + "index" + "-url",
        "--extra-" + "index" + "-url",
        "--find-" + "links",
        "--trusted-" + "host",
        "UV_" + "INDEX_URL=",
    ]
    pattern = re.compile("|".join(map(re.escape, hosts + settings)))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in committed()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@cache
def locked(name: str) -> dict[str, list[tuple[Requirement, int]]]:
    """Per package, its pins (one for each marker) with the number of hashes each carries."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    pins: dict[str, list[tuple[Requirement, int]]] = {}
    for entry in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = entry.split("--hash=")
        parsed = Requirement(requirement.strip())
        pins.setdefault(canonicalize_name(parsed.name), []).append((parsed, len(hashes)))
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", digest) for digest in hashes), entry[:80]
    return pins


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_is_pinned_and_hashed(name: str) -> None:
    for package, pins in locked(name).items():
        for requirement, hashes in pins:
            assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), package
            assert hashes > 0, package


@pytest.mark.parametrize("name", LOCKS)
def test_locks_hold_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    assert "://" not in text
    assert not [line for line in text.splitlines() if line.startswith("-")]


@pytest.mark.parametrize(
    ("lock", "extras"), [("runtime", ["build"]), ("dev", ["build", "spark", "dev"]), ("bench", ["bench"])]
)
def test_locks_cover_every_declared_dependency(lock: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [Requirement(text) for text in project["dependencies"]]
    declared += [Requirement(text) for extra in extras for text in project["optional-dependencies"][extra]]
    for requirement in declared:
        if requirement.name == project["name"]:
            continue
        versions = [
            next(iter(pin.specifier)).version for pin, _ in locked(lock).get(canonicalize_name(requirement.name), [])
        ]
        assert versions, f"{requirement.name} is not in requirements/{lock}.lock: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), (
            f"run `make lock` for {requirement}"
        )


@pytest.mark.parametrize(("small", "large"), [("runtime", "dev"), ("dev", "bench")])
def test_each_lock_is_the_one_before_and_more(small: str, large: str) -> None:
    def versions(name: str) -> dict[str, set[str]]:
        return {package: {str(pin.specifier) for pin, _ in pins} for package, pins in locked(name).items()}

    fewer, more = versions(small), versions(large)
    assert {package: more.get(package) for package in fewer} == fewer
    assert len(more) > len(fewer)


def test_another_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    # The check must speak before anything that an older Python would stumble over.
    (tmp_path / "old").write_text('#!/bin/sh\nif [ "$1" = -c ]; then exit 1; fi\nexit 0\n')
    (tmp_path / "old").chmod(0o755)
    made = subprocess.run(
        ["make", "--no-print-directory", "setup", f"PYTHON={tmp_path / 'old'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode != 0
    assert "needs Python 3.11, 3.12 or 3.13" in made.stderr.splitlines()[0]


# --- imports ---------------------------------------------------------------------------------------------------------

# Who may import whom among our own packages; SQL and dbt's own things are data to all of them.
MAY_IMPORT = {
    "assets/core": {"assets.core"},
    "assets": {"assets", "dbt_project", "models", "data"},
    "orchestration": {"orchestration", "assets", "dbt_project", "models", "data"},
    "tests/reference": {"tests.reference"},  # shares no code with what it judges
}
OURS = {"assets", "orchestration", "dbt_project", "models", "data", "tests"}
# The core is pure: nothing that knows the time, a database, the network or the graph.
IMPURE = {
    "dagster",
    "dagster_dbt",
    "dbt",
    "duckdb",
    "sqlalchemy",
    "great_expectations",
    "polars",
    "pyarrow",
    "pandas",
    "stripe",
    "requests",
    "urllib",
    "http",
    "socket",
    "subprocess",
    "time",
    "random",
    "secrets",
    "uuid",
    "threading",
    "asyncio",
}
CLOCK_CALLS = {"now", "utcnow", "today"}


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "a relative import"
            else:  # `from assets import core` imports assets.core
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room_of(path: Path) -> str | None:
    relative = path.relative_to(ROOT).as_posix()
    return next((room for room in MAY_IMPORT if relative.startswith(f"{room}/")), None)


def modules() -> list[Path]:
    return [path for path in committed() if path.suffix == ".py"]


def test_imports_run_one_way() -> None:
    wrong = []
    for path in modules():
        if (room := room_of(path)) is None:
            continue
        for line, name in imports_of(path):
            ours = name.split(".")[0] in OURS
            allowed = any(name == package or name.startswith(f"{package}.") for package in MAY_IMPORT[room])
            if (ours and not allowed) or name == "a relative import":
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


def test_the_core_is_pure() -> None:
    wrong = []
    for path in modules():
        if room_of(path) != "assets/core":
            continue
        wrong += [
            f"{path.relative_to(ROOT)}:{line} {name}" for line, name in imports_of(path) if name.split(".")[0] in IMPURE
        ]
        wrong += [
            f"{path.relative_to(ROOT)}:{node.lineno} reads the clock"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS
        ]
    assert wrong == []


def test_definitions_import_without_touching_the_disk(tmp_path: Path) -> None:
    """Wherever they are imported, the definitions leave nothing behind."""
    subprocess.run(
        [sys.executable, "-c", "import orchestration.definitions"], cwd=tmp_path, check=True, env=quiet_env()
    )
    assert list(tmp_path.iterdir()) == []


def quiet_env() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}


# --- what readers follow ---------------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#{1,6} +(.+?) *$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    pages = [path for path in committed() if path.suffix == ".md"]
    assert ROOT / "README.md" in pages
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            there = (page.parent / file) if file else page
            lost = anchor and there.suffix == ".md" and there.exists() and anchor not in anchors(there.read_text())
            if lost or not there.exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`?\bmake ([a-z-]+)`", (ROOT / "README.md").read_text()))
    named |= set(re.findall(r"^\$? ?make ([a-z-]+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE))
    assert named <= targets


# --- the tests themselves --------------------------------------------------------------------------------------------


def test_what_a_module_sets_up_once_is_set_up_by_one_worker() -> None:
    modules = sorted((ROOT / "tests").rglob("test_*.py"))
    shared = [path for path in modules if re.search(r'fixture\(scope="(module|session)"', path.read_text())]
    assert len(shared) > 20
    assert [path.name for path in shared if group_of(path) is None] == []
    assert {group_of(path) for path in modules} >= set(LONG)


# --- the sample workspace --------------------------------------------------------------------------------------------


def test_every_raw_file_of_the_demo_arrives_before_exactly_one_night() -> None:
    demo = ROOT / "data" / "demo"
    nights = YAML(typ="safe").load((demo / "nights.yaml").read_text())["nights"]
    named = [name for night in nights for name in night["arrives"]]
    assert len(named) == len(set(named))
    assert [name for name in named if not (demo / name).is_file()] == []
    raw = {path.relative_to(demo).as_posix() for path in (demo / "raw").rglob("*") if path.is_file()}
    assert raw <= set(named)
    as_ofs = [night["as_of"] for night in nights]
    assert as_ofs == sorted(set(as_ofs))


def test_the_demo_is_small() -> None:
    demo = ROOT / "data" / "demo"
    files = [path for path in committed() if path.is_relative_to(demo)]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert {".csv", ".ndjson", ".parquet", ".gz", ".zst"} <= {path.suffix for path in files}
