"""dbt inside the night's own process: the project is parsed once per change, the models need no second interpreter."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from assets import shown, warehouse
from assets.night import Night
from assets.progress import tell
from assets.verbs import POOL, one_by_one

PROJECT = Path(__file__).resolve().parent.parent / "dbt_project"
MODELS = PROJECT.parent / "models"


def _flags(target: Path) -> list[str]:
    return [
        "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target),
        "--log-level-file", "none", "--log-level", "none", "--no-version-check", "--no-use-colors",
    ]  # fmt: skip


def fingerprint() -> str:
    """Of everything dbt parses: a changed model, macro or YAML is another project."""
    digest = hashlib.sha256()
    for root in (PROJECT, MODELS):
        for file in sorted(root.rglob("*")):
            if file.suffix in (".sql", ".yml") and "target" not in file.parts:
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
def manifest_files() -> tuple[Path, Path]:
    """The parsed project, as dbt reads it back and as Dagster reads it; parsed now if it was never parsed as it is."""
    kept = _cache()
    packed, readable = (kept / f"manifest-{fingerprint()}{suffix}" for suffix in (".msgpack", ".json"))
    if not (packed.exists() and readable.exists()):
        from dbt.cli.main import dbtRunner

        kept.mkdir(parents=True, exist_ok=True)
        parsed = dbtRunner().invoke(["parse", *_flags(kept), "--no-partial-parse", "--no-write-json"])
        if not parsed.success:
            raise RuntimeError(f"dbt can't parse the project: {parsed.exception or parsed.result}")
        manifest: Any = parsed.result
        _write(packed, manifest.to_msgpack())
        _write(readable, json.dumps(manifest.writable_manifest().to_dict(omit_none=True), default=str).encode())
    return packed, readable


def _write(file: Path, content: bytes) -> None:
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_bytes(content)
    os.replace(part, file)


def build(workspace: Path) -> Any:
    """Run every model and its tests on the workspace's warehouse; dbt's results, node by node."""
    return invoke(workspace, "build", "--exclude-resource-type", "unit_test")


def compile_project(workspace: Path) -> dict[str, Any]:
    """The models with their SQL as it runs, by dbt's id."""
    warehouse.path(workspace).parent.mkdir(parents=True, exist_ok=True)
    compiled = invoke(workspace, "compile", "--no-introspect")
    return {r.node.unique_id: r.node for r in compiled if r.node.resource_type == "model"}


def invoke(workspace: Path, command: str, *options: str) -> Any:
    """Any dbt command on the workspace's warehouse, in this process; the results node by node."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    os.environ["TALLYHOUSE_WAREHOUSE"] = str(warehouse.path(workspace))
    os.environ["TALLYHOUSE_SPILL"] = warehouse.settings(workspace)["temp_directory"]
    os.environ["TALLYHOUSE_MEMORY"] = warehouse.settings(workspace)["memory_limit"]
    manifest = Manifest.from_msgpack(manifest_files()[0].read_bytes())
    flags = _flags(warehouse.path(workspace).parent / "dbt")
    try:
        done = dbtRunner(manifest=manifest).invoke([command, *flags, *options, "--no-write-json"])
    finally:
        # Or dbt keeps the file open as long as the process lives.
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if done.exception:
        raise done.exception
    return done.result


def make_models(manifest: Mapping[str, Any], partitions: dg.PartitionsDefinition[str] | None) -> dg.AssetsDefinition:
    """dbt's models as assets and their tests as checks."""
    from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets

    class Translator(DagsterDbtTranslator):
        """Names the assets as the story tells them: one noun a table, sources as the rooms that write them."""

        def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
            spec = super().get_asset_spec(manifest, unique_id, project)
            node = manifest["nodes"].get(unique_id) or manifest["sources"][unique_id]
            if node["resource_type"] == "source":
                room = {"catalog": "catalogue", "landing": "landed"}.get(node["source_name"], "books")
                return spec.replace_attributes(key=dg.AssetKey(room))
            return spec.replace_attributes(
                key=dg.AssetKey(node["name"]),
                group_name=Path(node["original_file_path"]).parent.name,
                owners=["team:billing"],
            )

    # Many source tables are one room: the duplicate keys are meant.
    translator = Translator(settings=DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    @dbt_assets(
        manifest=manifest,
        dagster_dbt_translator=translator,
        partitions_def=partitions,
        **one_by_one(partitions),
        pool=POOL,
        name="models",
    )
    def models(night: Night) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        failed: list[str] = []
        results = build(night.root)
        with night.connect() as con:
            rows = shown.row_counts(con, [r.node.name for r in results if r.node.resource_type == "model"])
        for result in results:
            node = result.node
            if node.resource_type == "model":
                if result.status != "success":
                    raise dg.Failure(f"model {node.name} failed: {result.message}", allow_retries=False)
                metadata = {"seconds": round(result.execution_time, 2), **rows.get(node.name, {})}
                yield dg.MaterializeResult(asset_key=dg.AssetKey(node.name), metadata=metadata)
            elif node.resource_type == "test":
                check = checks[node.unique_id]
                is_passed = result.status in ("pass", "warn")
                yield dg.AssetCheckResult(
                    asset_key=check.asset_key,
                    check_name=check.name,
                    passed=is_passed,
                    metadata={"rows": result.failures or 0},
                )
                if not is_passed:
                    failed.append(f"check {node.name} failed with {result.failures} rows ({result.message})")
        if failed:
            raise dg.Failure("; ".join(failed) + "; nothing was posted or published", allow_retries=False)
        tell("reckoned", f"{len(rows)} models built, {len(checks)} checks passed", models=len(rows), checks=len(checks))

    checks = {spec.metadata["dagster_dbt/unique_id"]: spec for spec in models.check_specs}
    return models
