"""The roles are run as the manifests in deploy/kubernetes say, over real servers.

lakebed.yaml ──a pod of each role──> podman run … ──> gateway, keeper, api
                                                         └──> Kafka, PostgreSQL, ClickHouse
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from paho.mqtt.publish import single

from tests.certificates import self_signed
from tests.cluster import Cluster, Servers
from tests.deploy import engine
from tests.deploy.pod import Given, Pod
from tests.deploy.test_helm import RENDERED, ROLES, Manifest, read, rendered, workloads
from tests.server import Api, eventually

pytestmark = [*engine.marks, pytest.mark.server("kafka"), pytest.mark.server("postgres")]


@dataclass(frozen=True)
class Running:
    pods: dict[str, Pod]
    token: str
    given: Given

    @property
    def api(self) -> Api:
        return Api(f"http://{self.pods['api'].places['http']}", self.token)

    @property
    def gateway(self) -> Api:
        return Api(f"http://{self.pods['gateway'].places['http']}", self.token)

    def kept(self, topic: str) -> list[Any]:
        found = self.api.get("/api/v1/records", topic=topic)["records"]
        return [record["value"] for record in found]


def configs_of(manifests: list[Manifest]) -> dict[str, dict[str, str]]:
    return {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}


@pytest.fixture(scope="module")
def running(
    on: Servers, network: engine.Network, place: Path, measured: list[str]
) -> Iterator[Running]:
    manifests = read(RENDERED.read_text())
    settings = {f"LAKEBED__{k}": v for k, v in Cluster(place, on).settings.items()}
    token = settings.pop("LAKEBED__API__ADMIN_TOKEN")
    secrets = {"lakebed": settings, "lakebed-api": {"LAKEBED__API__ADMIN_TOKEN": token}}
    socket = on.postgres.folder
    given = Given(
        configs_of(manifests), secrets, (f"--network={network.name}", f"--volume={socket}:{socket}")
    )
    pods: dict[str, Pod] = {}
    try:
        for role, workload in workloads(manifests).items():
            spec = workload["spec"]["template"]["spec"]
            pods[role] = Pod(f"lakebed-{role}-0", spec, given, place / role)
        for role, pod in pods.items():
            took = pod.wait_ready(pod.probe("readiness"))
            measured.append(f"{role}: ready after {took:.1f} s, beside the others")
        yield Running(pods, token, given)
    finally:
        for pod in pods.values():
            pod.remove()


def test_pods_take_messages_in_keep_them_and_answer(running: Running) -> None:
    api, gateway = running.api, running.gateway
    api.put_policies([{"name": "p", "topics": ["pod/#"], "type": "number", "keep": "archive"}])
    gateway.send("pod/http", b"5")
    host, port = running.pods["gateway"].places["mqtt"].split(":")
    login: Any = {"username": "me", "password": running.token}
    single("pod/mqtt", b"6", qos=1, hostname=host, port=int(port), auth=login)
    assert eventually(lambda: running.kept("pod/http"), 60) == [5]
    assert eventually(lambda: running.kept("pod/mqtt"), 60) == [6]


@pytest.mark.parametrize("role", ROLES)
def test_probes_and_the_health_check_of_the_image_say_yes(running: Running, role: str) -> None:
    pod = running.pods[role]
    for kind in ("startup", "liveness", "readiness"):
        assert httpx.get(pod.probe(kind)).status_code == 200, kind
    assert pod.is_healthy()


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_is_nobody_and_writes_to_its_volumes_only(running: Running, role: str) -> None:
    running.pods[role].assert_contained("/var/lib/lakebed", "/tmp")


def test_a_gateway_takes_messages_by_tls_with_the_certificate_of_a_secret(
    running: Running, helm: str, place: Path
) -> None:
    certificate, key = self_signed(place)
    secret = {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}
    given = replace(running.given, secrets=running.given.secrets | {"certificates": secret})
    manifests = rendered(helm, "--set", "gateway.tls=certificates")
    spec = workloads(manifests)["gateway"]["spec"]["template"]["spec"]
    pod = Pod("lakebed-gateway-1", spec, given, place / "tls")
    try:
        pod.wait_ready(pod.probe("readiness"))
        login: Any = {"username": "me", "password": running.token}
        trust: Any = {"ca_certs": str(certificate), "insecure": True}  # it has another name
        host, port = pod.places["mqtts"].split(":")
        single("pod/tls", b"7", qos=1, hostname=host, port=int(port), auth=login, tls=trust)
        assert eventually(lambda: running.kept("pod/tls"), 60) == [7]
        assert pod.stop() == 0, pod.log
    finally:
        pod.remove()


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_ends_by_itself_when_it_is_told(running: Running, role: str) -> None:
    pod = running.pods[role]
    assert pod.stop() == 0, pod.log
