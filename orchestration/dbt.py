"""dbt inside the night's own process: the project is parsed once per change, the models need no second interpreter."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache
from graphlib import TopologicalSorter
from importlib import metadata
from pathlib import Path
from typing import Any

from assets import warehouse
from assets.gate.findings import Finding, Outcome

PROJECT = Path(__file__).resolve().parent.parent / "dbt_project"
MODELS = PROJECT.parent / "models"
# A parsed project holds their macros, and what they made of ours.
PARSERS = ("dbt-core", "dbt-duckdb", "dbt-spark", "sqlglot")


def _flags(at: Path, target: str) -> list[str]:
    return [
        "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(at), "--target", target,
        "--log-level-file", "none", "--log-level", "none", "--no-version-check", "--no-use-colors",
    ]  # fmt: skip


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:  # Spark's is asked for by few
        return None


def fingerprint() -> str:
    """Of everything dbt parses: a changed model, macro or YAML is another project, and so is one of another dbt."""
    digest = hashlib.sha256(repr([_version(library) for library in PARSERS]).encode())
    for root in (PROJECT, MODELS):
        for file in sorted(root.rglob("*")):
            if file.suffix in (".sql", ".yml", ".md") and "target" not in file.parts:
                digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _cache() -> Path:
    """Where the parsed project is kept: beside the project, or in the user's cache where that can't be written."""
    beside = PROJECT / "target"
    try:
        beside.mkdir(exist_ok=True)
        if os.access(beside, os.W_OK):
            return beside
    except OSError:
        pass
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tallyhouse"


@cache
def manifest_files(target: str = "duckdb") -> tuple[Path, Path]:
    """The parsed project, as dbt reads it back and as Dagster reads it; parsed now if it was never parsed as it is."""
    at = _cache()
    packed, readable = (kept(f"manifest-{target}", suffix) for suffix in (".msgpack", ".json"))
    if not (packed.exists() and readable.exists()):
        from dbt.cli.main import dbtRunner

        at.mkdir(parents=True, exist_ok=True)
        parsed = dbtRunner().invoke(["parse", *_flags(at, target), "--no-partial-parse", "--no-write-json"])
        if not parsed.success:
            raise RuntimeError(f"dbt can't parse the project: {parsed.exception or parsed.result}")
        manifest: Any = parsed.result
        keep(packed, manifest.to_msgpack())
        keep(readable, json.dumps(manifest.writable_manifest().to_dict(omit_none=True), default=str).encode())
    return packed, readable


def keep(file: Path, content: bytes) -> None:
    """Whole, also where two processes do so at once."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_bytes(content)
    os.replace(part, file)


def build(workspace: Path) -> Any:
    """Run every model and its tests on the workspace's warehouse; dbt's results, node by node."""
    results = invoke(workspace, "build", "--exclude-resource-type", "unit_test")
    if all(it.status == "success" for it in results if it.node.resource_type == "model"):
        _keep_compiled(results, "duckdb")  # whoever asks for a line the next day need not wait for dbt
    return results


def compiled_models(target: str = "duckdb") -> dict[str, str]:
    """Every model by its name as the statement that makes it, each after those it reads."""
    return _compiled(target)["models"]


def compiled_checks() -> dict[str, str]:
    """Every check that blocks a night by its name, as the query that finds what breaks it."""
    return _compiled("duckdb")["checks"]


@cache
def _compiled(target: str) -> dict[str, dict[str, str]]:
    """The project as SQL; compiled once per change."""
    if not _compiled_file(target).exists():
        with tempfile.TemporaryDirectory() as scratch:
            warehouse.path(Path(scratch)).parent.mkdir()
            compiled = invoke(Path(scratch), "compile", "--no-introspect", "--no-populate-cache", target=target)
            _keep_compiled(compiled, target)
    loaded: dict[str, dict[str, str]] = json.loads(_compiled_file(target).read_text())
    return loaded


def _compiled_file(target: str) -> Path:
    return kept(f"sql-{target}", ".json")


def kept(what: str, suffix: str) -> Path:
    """A file about the project as it is now."""
    return _cache() / f"{what}-{fingerprint()}{suffix}"


def _keep_compiled(results: Any, target: str) -> None:
    if _compiled_file(target).exists():
        return
    results = list(results)
    nodes = {it.node.unique_id: it.node for it in results if it.node.resource_type == "model"}
    order = TopologicalSorter({key: [on for on in it.depends_on.nodes if on in nodes] for key, it in nodes.items()})
    models = {
        node.name: f"CREATE OR REPLACE {node.config.materialized} {node.schema}.{node.name} AS {node.compiled_code}"
        for node in (nodes[key] for key in order.static_order())
    }
    checks = {
        it.node.name: it.node.compiled_code
        for it in results
        if it.node.resource_type == "test" and it.node.config.severity.lower() == "error"
    }
    keep(_compiled_file(target), json.dumps({"models": models, "checks": checks}, indent=1).encode())


def findings(results: Any) -> list[Finding]:
    """What dbt's tests found, as the gate judges it."""
    outcomes: dict[str, Outcome] = {"pass": "passed", "fail": "failed", "warn": "failed", "error": "raised"}
    found = []
    for result in results:
        node = result.node
        if node.resource_type != "test" or result.status not in outcomes:
            continue
        is_error = node.config.severity.lower() == "error"
        found.append(
            Finding(
                check=node.name,
                suite="models",
                kind="structure" if is_error else "plausibility",
                severity="block" if is_error else "warn",
                outcome=outcomes[result.status],
                about=_about(node),
                detail=f"could not be run: {result.message}" if result.status == "error" else None,
                query=node.compiled_code if result.status in ("fail", "warn") else None,
            )
        )
    return found


def _about(node: Any) -> str:
    """The first sentence above a test's query, or its name as words."""
    if node.description:
        return str(node.description)
    comment = [line.removeprefix("-- ") for line in node.raw_code.splitlines() if line.startswith("-- ")]
    text = " ".join(comment) or f"{node.name.replace('_', ' ').capitalize()}."
    first, point, _ = text.partition(". ")
    return first + point.strip()


def invoke(workspace: Path, command: str, *options: str, target: str = "duckdb") -> Any:
    """Any dbt command on the workspace's warehouse, or on this process's Spark; the results node by node."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    os.environ["TALLYHOUSE_WAREHOUSE"] = str(warehouse.path(workspace))
    os.environ["TALLYHOUSE_SPILL"] = warehouse.settings(workspace)["temp_directory"]
    os.environ["TALLYHOUSE_MEMORY"] = warehouse.settings(workspace)["memory_limit"]
    manifest = Manifest.from_msgpack(manifest_files(target)[0].read_bytes())
    flags = _flags(warehouse.path(workspace).parent / "dbt", target)
    try:
        done = dbtRunner(manifest=manifest).invoke([command, *flags, *options, "--no-write-json"])
    finally:
        # Or dbt keeps the file open as long as the process lives.
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if done.exception:
        raise done.exception
    return done.result
