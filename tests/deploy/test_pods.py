"""The roles are run as the manifests in deploy/kubernetes say, over real servers.

    lakebed.yaml ──a pod of each role──> podman run … ──> gateway, keeper, api
                                                             └──> Kafka, PostgreSQL, ClickHouse

Of a pod this takes what a container needs: image, arguments, user, settings, Secrets, volumes, what
it may not do, its memory, its probes and how it is stopped. The rest is for Kubernetes.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from paho.mqtt.publish import single

from tests.cluster import Cluster, Servers
from tests.deploy import engine
from tests.deploy.engine import Container
from tests.deploy.test_helm import RENDERED, ROLES, Manifest, read, workloads
from tests.server import Api, eventually

pytestmark = [*engine.marks, pytest.mark.server("kafka"), pytest.mark.server("postgres")]
_SIZES = {"Gi": "g", "Mi": "m"}


@dataclass(frozen=True)
class Given:
    """What a namespace has beside the workloads.

    Attributes:
        configs: data of ConfigMaps.
        secrets: data of Secrets.
        mounts: further options of `podman run`: how servers are reached.
    """

    configs: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, Mapping[str, str]]
    mounts: tuple[str, ...]
    network: str


class Pod(Container):
    """A pod of one container, as the kubelet would start and stop it.

    Args:
        folder: for its volumes.
    """

    def __init__(self, name: str, spec: Manifest, given: Given, folder: Path) -> None:
        self._spec, (self._container,) = spec, spec["containers"]
        options = [
            f"--network={given.network}", f"--hostname={name}",
            f"--stop-timeout={spec['terminationGracePeriodSeconds']}",
            *_rights(spec["securityContext"], self._container),
            *_volumes(spec, self._container, given, folder),
            *given.mounts,
        ]  # fmt: skip
        for source in self._container["envFrom"]:
            data = given.secrets[source["secretRef"]["name"]]
            options += [f"--env={key}={value}" for key, value in data.items()]
        super().__init__(engine.image("servers"), options, self._container["args"])
        ports = {port["name"]: port["containerPort"] for port in self._container["ports"]}
        self.places = {port: f"{self.address}:{ports[port]}" for port in ports}

    def probe(self, kind: str) -> str:
        """The address that a probe asks."""
        http = self._container[f"{kind}Probe"]["httpGet"]
        return f"http://{self.places[http['port']]}{http['path']}"

    def stop(self) -> int:
        hook = self._container.get("lifecycle", {}).get("preStop")
        if hook:
            self.ask(*hook["exec"]["command"])
        return super().stop()


def _rights(pod: Manifest, container: Manifest) -> list[str]:
    context = container["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    memory = container["resources"]["limits"]["memory"]
    return [
        f"--user={pod['runAsUser']}:{pod['runAsGroup']}",
        "--security-opt=no-new-privileges", "--read-only", "--read-only-tmpfs=false",
        "--cap-drop=ALL", f"--memory={memory[:-2]}{_SIZES[memory[-2:]]}",
    ]  # fmt: skip


def _volumes(spec: Manifest, container: Manifest, given: Given, folder: Path) -> list[str]:
    """Folders as the kubelet makes them: of root, with the pod's group."""
    group, options = spec["securityContext"]["fsGroup"], []
    for volume in spec["volumes"]:
        place = folder / volume["name"]
        place.mkdir(parents=True)
        if "configMap" in volume:
            for name, text in given.configs[volume["configMap"]["name"]].items():
                (place / name).write_text(text)
        else:
            assert "emptyDir" in volume
        os.chown(place, 0, group)
        place.chmod(0o2777)
        (mount,) = (m for m in container["volumeMounts"] if m["name"] == volume["name"])
        ending = ":ro" if mount.get("readOnly") else ""
        options.append(f"--volume={place}:{mount['mountPath']}{ending}")
    return options


@dataclass(frozen=True)
class Running:
    pods: dict[str, Pod]
    token: str

    @property
    def api(self) -> Api:
        return Api(f"http://{self.pods['api'].places['http']}", self.token)

    @property
    def gateway(self) -> Api:
        return Api(f"http://{self.pods['gateway'].places['http']}", self.token)


@pytest.fixture(scope="module")
def running(
    on: Servers, network: engine.Network, place: Path, measured: list[str]
) -> Iterator[Running]:
    manifests = read(RENDERED.read_text())
    settings = {f"LAKEBED__{k}": v for k, v in Cluster(place, on).settings.items()}
    token = settings.pop("LAKEBED__API__ADMIN_TOKEN")
    socket = on.postgres.folder
    given = Given(
        {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"},
        {"lakebed": settings, "lakebed-api": {"LAKEBED__API__ADMIN_TOKEN": token}},
        (f"--volume={socket}:{socket}",),
        network.name,
    )
    pods: dict[str, Pod] = {}
    try:
        for role, workload in workloads(manifests).items():
            spec = workload["spec"]["template"]["spec"]
            pods[role] = Pod(f"lakebed-{role}-0", spec, given, place / role)
        for role, pod in pods.items():
            took = pod.wait_ready(pod.probe("readiness"))
            measured.append(f"{role}: ready after {took:.1f} s, beside the others")
        yield Running(pods, token)
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

    def kept(topic: str) -> list[Any]:
        found = api.get("/api/v1/records", topic=topic)["records"]
        return [record["value"] for record in found]

    assert eventually(lambda: kept("pod/http"), 60) == [5]
    assert eventually(lambda: kept("pod/mqtt"), 60) == [6]


@pytest.mark.parametrize("role", ROLES)
def test_probes_and_the_health_check_of_the_image_say_yes(running: Running, role: str) -> None:
    pod = running.pods[role]
    for kind in ("startup", "liveness", "readiness"):
        assert httpx.get(pod.probe(kind)).status_code == 200, kind
    assert pod.is_healthy()


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_is_nobody_and_writes_to_its_volumes_only(running: Running, role: str) -> None:
    running.pods[role].assert_contained("/var/lib/lakebed", "/tmp")


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_ends_by_itself_when_it_is_told(running: Running, role: str) -> None:
    pod = running.pods[role]
    assert pod.stop() == 0, pod.log
