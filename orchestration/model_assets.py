"""dbt's models as Dagster's assets, and their tests as asset checks that stand before the books."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from assets import events, limits, parity, shown
from assets.core.page import counted
from assets.gate import docs
from assets.gate.judge import judge
from assets.gate.stop import refuse_stopped
from assets.night import Night
from assets.post import refuse_locked, refuse_unpriced
from assets.progress import tell, warn
from assets.verbs import POOL, one_by_one
from orchestration.dbt import build, findings


def make_models(manifest: Mapping[str, Any], partitions: dg.PartitionsDefinition[str] | None) -> dg.AssetsDefinition:
    """dbt's models as assets and their tests as checks."""
    from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets

    class Translator(DagsterDbtTranslator):
        """Names the assets as the story tells them: one noun a table, sources as the rooms that write them."""

        def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
            spec = super().get_asset_spec(manifest, unique_id, project)
            node = manifest["nodes"].get(unique_id) or manifest["sources"][unique_id]
            if node["resource_type"] == "source":
                return spec.replace_attributes(key=dg.AssetKey(_room(node["source_name"])))
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
        results = _built(night)
        broken = [it for it in results if it.node.resource_type == "model" and it.status not in ("success", "skipped")]
        with night.connect() as con:
            for it in broken:
                limits.refuse_overflow(con, str(it.message))
            rows = shown.row_counts(con, [r.node.name for r in results if r.node.resource_type == "model"])
            for alert in parity.alerts(con):
                warn("parity_alert", alert)
        columns = _columns(manifest)
        for result in results:
            node = result.node
            if node.resource_type == "model" and result.status == "success":
                metadata = {
                    "seconds": round(result.execution_time, 2),
                    **rows.get(node.name, {}),
                    **columns.get(node.name, {}),
                }
                yield dg.MaterializeResult(asset_key=dg.AssetKey(node.name), metadata=metadata)
            elif node.resource_type == "test" and result.status != "skipped":
                check = checks[node.unique_id]
                yield dg.AssetCheckResult(
                    asset_key=check.asset_key,
                    check_name=check.name,
                    passed=result.status == "pass",
                    severity=dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR,
                    metadata={"rows": result.failures or 0},
                )
        _judge(night, results)
        with night.connect() as con:
            for warning in shown.levels_below_zero(con):
                warn("level_below_zero", warning)
            for warning in events.remarks(con):
                warn("usage_not_sent", warning)
        passed, warned = (
            sum(it.node.unique_id in checks and it.status == status for it in results) for status in ("pass", "warn")
        )
        said = f"{len(rows)} models built, {counted(passed, 'check')} passed" + (f", {warned} warned" if warned else "")
        tell("reckoned", said, models=len(rows), checks=passed, warned=warned)

    checks = {spec.metadata["dagster_dbt/unique_id"]: spec for spec in models.check_specs}
    return models


def _built(night: Night) -> Any:
    with night.connect() as con:
        engine = shown.one(con, "SELECT engine FROM catalog.settings")
    if engine == "spark":
        from orchestration import on_spark

        return on_spark.build(night)
    return build(night.root)


def _room(schema: str) -> str:
    """The asset that writes the tables of a schema that no model writes."""
    return {"catalog": "catalogue", "landing": "landed"}.get(schema, "books")


def _columns(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each column is made of, as Dagster shows it; no night is lost for it."""
    from orchestration.lineage import lineage

    models = {node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    try:
        found = lineage(manifest)
    except Exception as error:
        warn("lineage", f"lineage: what columns are made of could not be read ({error}); nothing else needs it.")
        return {}

    def dep(schema: str, table: str, column: str) -> dg.TableColumnDep:
        if table in models:
            return dg.TableColumnDep(dg.AssetKey(table), column)
        return dg.TableColumnDep(dg.AssetKey(_room(schema)), f"{table}.{column}")

    return {
        model: {
            "dagster/column_lineage": dg.TableColumnLineage(
                {column: [dep(*one) for one in of] for column, of in columns.items()}
            )
        }
        for model, columns in found.items()
    }


def _judge(night: Night, results: Iterable[Any]) -> None:
    """The first of the night's findings; a failed check also keeps the models after it from being built."""
    failed = [result for result in results if result.node.resource_type == "model" and result.status == "error"]
    if failed:
        raise dg.Failure(f"model {failed[0].node.name} failed: {failed[0].message}", allow_retries=False)
    built = {result.node.name for result in results if result.status == "success"}
    has_failed = any(result.status in ("fail", "error") for result in results)
    with night.connect() as con:
        if has_failed:
            refuse_unpriced(con)  # a check found it, but a person is told which plan to mend
            refuse_locked(con)
        judged = judge(
            con,
            night.clock,
            findings(results),
            is_first=True,
            has_lines="gate_lines" in built,
            report=docs.REPORT if has_failed else None,
        )
        refuse_stopped(con, judged, night.root)
