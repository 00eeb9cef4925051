"""What the files of a deployment promise: Dockerfile, compose.yaml, Kubernetes and systemd."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve.server import GRACE

ROOT = Path(__file__).parent.parent
Stages = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def stages() -> Stages:
    """The instructions of every stage of the Dockerfile, in order."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: Stages = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            name = rest.rpartition(" AS ")[2]
            found[name] = list(found.get(rest.partition(" AS ")[0], []))
        elif word:
            found[name].append((word, rest.strip()))
    return found


def last(stage: list[tuple[str, str]], word: str) -> str:
    return [rest for name, rest in stage if name == word][-1]


@pytest.fixture(scope="module")
def services() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return loaded


@pytest.mark.parametrize("target", ["cpu", "gpu", "train"])
def test_an_image_runs_as_nobody_and_starts_without_a_shell(stages: Stages, target: str) -> None:
    user, _, group = last(stages[target], "USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    words = json.loads(last(stages[target], "ENTRYPOINT" if target == "train" else "CMD"))
    assert words[0] == "segnas"
    health = last(stages[target], "HEALTHCHECK")
    assert health == "NONE" if target == "train" else "/readyz" in health
    installed = [rest for word, rest in stages[target] if word == "RUN"]
    assert not [line for line in installed if "pip" in line or "venv" in line or "gcc" in line]


def test_the_processor_is_what_is_built_unless_told(stages: Stages) -> None:
    assert list(stages)[-1] == "cpu"


def test_the_context_holds_what_is_copied_and_little_else(stages: Stages) -> None:
    first, *rules = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"
    ]
    assert first == "*"
    allowed = {rule[1:] for rule in rules if rule[:1] == "!"}
    copied = {
        source
        for stage in stages.values()
        for word, rest in stage
        if word == "COPY" and "--from" not in rest and "BUNDLE" not in rest
        for source in rest.split()[:-1]
    }
    assert allowed == copied | {"runs/*/bundle"}


def test_compose_starts_the_processor_and_on_request_the_gpu(services: Mapping[str, Any]) -> None:
    assert [name for name, service in services.items() if not service.get("profiles")] == ["cpu"]
    assert services["gpu"]["profiles"] == ["gpu"]
    wanted = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert wanted == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_compose_shuts_a_service_in(services: Mapping[str, Any], stages: Stages, name: str) -> None:
    service = services[name]
    assert service["build"]["target"] == name
    assert service["user"] == last(stages[name], "USER")
    assert service["read_only"] is True
    assert [place.partition(":")[0] for place in service["tmpfs"]] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["stop_grace_period"].removesuffix("s")) > GRACE
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert "/readyz" in service["healthcheck"]["test"][-1]
    host, _, container = service["ports"][0].rpartition(":")
    assert host.startswith("127.0.0.1:")
    assert container == last(stages[name], "EXPOSE")
    assert set(service["build"]["args"]) <= {
        rest.partition("=")[0] for word, rest in stages[name] if word == "ARG"
    }


def test_kubernetes_asks_runs_and_ends_it_as_the_image_is(stages: Stages) -> None:
    deployment, service = yaml.safe_load_all((ROOT / "docs/kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user, _, group = last(stages["cpu"], "USER").partition(":")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (
        int(user),
        int(group),
    )
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["volumeMounts"] == [{"name": "scratch", "mountPath": "/tmp"}]
    (port,) = container["ports"]
    assert str(port["containerPort"]) == last(stages["cpu"], "EXPOSE")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/readyz", "port": port["name"]}
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pod["terminationGracePeriodSeconds"] > before + GRACE
    assert set(container["resources"]) == {"requests", "limits"}
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels == deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


def test_systemd_gives_it_time_to_end_and_little_else() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read(ROOT / "docs/segnas.service")
    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) > GRACE
    assert service["ExecStart"].split()[1] == "serve"
    for key in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "ProtectHome"):
        assert service[key] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
