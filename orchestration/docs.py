"""dbt's own pages about every model, as one file that needs no server, no network and no warehouse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestration import dbt


def page() -> str:
    """dbt's page with the parsed project in it; types and order of columns as the contracts promise them."""
    from dbt.task.docs import DOCS_INDEX_FILE_PATH

    manifest: dict[str, Any] = json.loads(dbt.manifest_files()[1].read_text())
    # The page counts its visitors where a project says so; and when it was parsed is nobody's matter.
    manifest["metadata"] = {
        "project_name": manifest["metadata"]["project_name"],
        "dbt_version": manifest["metadata"]["dbt_version"],
        "send_anonymous_usage_stats": False,
    }
    compiled = dbt.compiled_models()
    manifest["macros"] = {key: it for key, it in manifest["macros"].items() if it["package_name"] == "tallyhouse"}
    for node in manifest["nodes"].values():
        node["original_file_path"] = node["original_file_path"].removeprefix("../")
        if node["name"] in compiled:
            node["compiled_code"] = compiled[node["name"]]
    whole = Path(DOCS_INDEX_FILE_PATH).read_text(encoding="utf-8")
    for mark, content in (("MANIFEST", manifest), ("CATALOG", _catalog(manifest))):
        place = f'"{mark}.JSON INLINE DATA"'
        if place not in whole:
            raise RuntimeError(f"dbt's page has no place for {mark.lower()}.json any more")
        # Within a script, only the end of a script could end it.
        whole = whole.replace(place, json.dumps(content, ensure_ascii=False).replace("</", "<\\/"))
    return whole


def _catalog(manifest: dict[str, Any]) -> dict[str, Any]:
    """What dbt would have asked the warehouse for."""
    nodes = {
        key: {
            "unique_id": key,
            "metadata": {
                "type": "VIEW" if node["config"]["materialized"] == "view" else "TABLE",
                "schema": node["schema"],
                "name": node["name"],
                "database": node["database"],
                "comment": node["description"],
                "owner": None,
            },
            "columns": {
                name: {"name": name, "index": index, "type": column.get("data_type"), "comment": column["description"]}
                for index, (name, column) in enumerate(node["columns"].items(), start=1)
            },
            "stats": {},
        }
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "model"
    }
    return {"metadata": {}, "nodes": nodes, "sources": {}, "errors": None}
