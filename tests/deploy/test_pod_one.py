"""The pod of the chart with embedded stores: what it acknowledged outlives it.

lakebed-one.yaml ──its pod──> podman run … ──killed──> podman run … on the same volume
"""

import shutil
from pathlib import Path
from typing import Any

from paho.mqtt.publish import single

from tests.deploy import engine
from tests.deploy.pod import Given, Pod
from tests.deploy.test_helm import Manifest, read
from tests.deploy.test_helm_one import RENDERED, of_kind
from tests.server import Api, eventually

pytestmark = engine.marks


def _with_its_claim(one: Manifest) -> Manifest:
    """The pod's specification as the controller of sets makes it: claims become volumes."""
    spec: Manifest = one["spec"]["template"]["spec"]
    claims = [
        {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "home-0"}}
        for claim in one["spec"]["volumeClaimTemplates"]
    ]
    return spec | {"volumes": [*spec["volumes"], *claims]}


def _values(api: Api, topic: str) -> list[Any]:
    return [r["value"] for r in api.get("/api/v1/records", topic=topic)["records"]]


def test_a_pod_that_was_killed_goes_on_with_its_volume(
    network: engine.Network, tmp_path: Path, measured: list[str]
) -> None:
    manifests = read(RENDERED.read_text())
    (one,) = of_kind(manifests, "StatefulSet")
    configs = {m["metadata"]["name"]: m["data"] for m in of_kind(manifests, "ConfigMap")}
    given = Given(configs, {}, (f"--network={network.name}",))

    def pod() -> tuple[Pod, Api]:
        for volume in ("settings", "tmp"):
            shutil.rmtree(tmp_path / volume, ignore_errors=True)
        made = Pod("lakebed-one-0", _with_its_claim(one), given, tmp_path, stores="all")
        took = made.wait_ready(made.probe("readiness"))
        measured.append(f"lakebed-one: ready after {took:.1f} s")
        return made, Api(f"http://{made.places['http']}", made.ask("cat", "home/admin.token"))

    first, api = pod()
    try:
        first.assert_contained("/var/lib/lakebed", "/tmp")
        api.put_policies([{"name": "p", "topics": ["pod/#"], "type": "number", "keep": "archive"}])
        host, port = first.places["mqtt"].split(":")
        login: Any = {"username": "me", "password": api.token}
        single("pod/mqtt", b"6", qos=1, hostname=host, port=int(port), auth=login)
        api.send("pod/http", "7")
    finally:
        first.remove()  # by SIGKILL
    second, api = pod()
    try:
        assert eventually(lambda: _values(api, "pod/mqtt"), 60) == [6]
        assert eventually(lambda: _values(api, "pod/http"), 60) == [7]
        assert (tmp_path / "home" / "home").stat().st_mode & 0o077 == 0
        assert second.stop() == 0, second.log
    finally:
        second.remove()
