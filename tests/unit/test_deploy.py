"""The deployment example names what exists, and keeps the one writer that every other deployment has."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from assets import metrics
from assets.verbs import POOL
from orchestration import jobs, sensors
from orchestration.settings import DAGSTER_YAML

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"


def read(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((DEPLOY / name).read_text())


def test_the_history_is_in_postgres_and_the_pool_is_the_same() -> None:
    told = read("dagster.yaml")
    ours = YAML(typ="safe", pure=True).load(DAGSTER_YAML)
    del ours["event_log_storage"]  # on one machine the history is in files
    assert {name: told[name] for name in ours} == ours
    assert told["concurrency"]["pools"] == {"default_limit": 1, "granularity": "run"}
    asked = {it["env"] for it in told["storage"]["postgres"]["postgres_db"].values() if isinstance(it, dict)}
    for name, service in read("compose.yaml")["services"].items():
        if name != "history":
            assert asked <= set(service["environment"]), name


def test_the_containers_start_what_there_is() -> None:
    services = read("compose.yaml")["services"]
    nights = services["nights"]["command"]
    module = nights[nights.index("-m") + 1]
    assert find_spec(module) is not None
    assert read("helm-values.yaml")["dagster-user-deployments"]["deployments"][0]["dagsterApiGrpcArgs"] == [
        "-m",
        module,
    ]
    (location,) = read("workspace.yaml")["load_from"]
    server = location["grpc_server"]
    assert server["host"] in services
    assert str(server["port"]) == nights[nights.index("-p") + 1]
    for name in ("daemon", "web"):
        assert services[name]["command"][services[name]["command"].index("-w") + 1] == "/dagster/workspace.yaml"
    # Only one container opens the workspace.
    assert [name for name, it in services.items() if "/workspace" in str(it.get("volumes", ""))] == ["nights"]
    context = DEPLOY / services["nights"]["build"]["context"]
    assert (context / services["nights"]["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_the_image_holds_the_versions_that_were_tried() -> None:
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = re.findall(r"\S+==\S+", (DEPLOY / "Dockerfile").read_text())
    assert installed == pins["optional-dependencies"]["deploy"]
    (dagster,) = [it.partition("==")[2] for it in pins["dependencies"] if it.startswith("dagster==")]
    assert f"--version {dagster}" in (DEPLOY / "helm-values.yaml").read_text()


def test_kubernetes_has_one_writer_too() -> None:
    values = read("helm-values.yaml")
    assert values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]["maxConcurrentRuns"] == 1
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    mounted = {it["mountPath"] for it in deployment["volumeMounts"]}
    assert {it["value"] for it in deployment["env"] if it["name"] == "TALLYHOUSE_WORKSPACE"} <= mounted
    assert {it["name"] for it in deployment["volumeMounts"]} == {it["name"] for it in deployment["volumes"]}


def test_the_page_speaks_of_what_there_is() -> None:
    page = (DEPLOY / "README.md").read_text()
    assert f"`{POOL}`" in page
    for name in (jobs.every_night.name, sensors.new_raw_files.name):
        assert f"`{name}`" in page
    named = {name.removesuffix("_total") for name in re.findall(r"tallyhouse_([a-z_]+)", page)}
    assert named <= set(metrics.FAMILIES)
    assert len(named) >= 8


@pytest.mark.parametrize("file", sorted(DEPLOY.glob("*.yaml")), ids=lambda file: file.name)
def test_every_file_is_yaml(file: Path) -> None:
    assert isinstance(read(file.name), dict)
