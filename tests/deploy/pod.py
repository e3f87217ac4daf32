"""A pod of one container, without Kubernetes.

    Deployment or StatefulSet ──template──> options of podman run, folders as volumes

Of a pod this takes what a container needs: image, arguments, user, settings, Secrets, volumes, what
it may not do, its memory, its probes and how it is stopped. The rest is for Kubernetes.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deploy import engine
from tests.deploy.engine import Container
from tests.deploy.test_helm import Manifest

_SIZES = {"Gi": "g", "Mi": "m"}


@dataclass(frozen=True)
class Given:
    """What a namespace has beside the workloads.

    Attributes:
        configs: data of ConfigMaps, by name.
        secrets: data of Secrets.
        options: further ones of `podman run`: how servers are reached.
    """

    configs: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, Mapping[str, str]]
    options: tuple[str, ...]


class Pod(Container):
    """A pod of one container, as the kubelet would start and stop it.

    Args:
        folder: for its volumes; what a claim stands for is there already, or begins empty.
        stores: which image.
    """

    def __init__(
        self, name: str, spec: Manifest, given: Given, folder: Path, stores: str = "servers"
    ) -> None:
        (self._container,) = spec["containers"]
        options = [
            f"--hostname={name}",
            f"--stop-timeout={spec['terminationGracePeriodSeconds']}",
            *_rights(spec["securityContext"], self._container),
            *_volumes(spec, self._container, given, folder),
            *given.options,
        ]  # fmt: skip
        for source in self._container.get("envFrom", []):
            data = given.secrets[source["secretRef"]["name"]]
            options += [f"--env={key}={value}" for key, value in data.items()]
        for variable in self._container.get("env", []):
            options.append(f"--env={variable['name']}={variable['value']}")
        super().__init__(engine.image(stores), options, self._container["args"])
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
        place.mkdir(parents=True, exist_ok="persistentVolumeClaim" in volume)
        files, mode = _files(volume, given)
        for name, text in files.items():
            (place / name).write_text(text)
            (place / name).chmod(mode)
            os.chown(place / name, 0, group)
        os.chown(place, 0, group)
        place.chmod(0o2777)
        (mount,) = (m for m in container["volumeMounts"] if m["name"] == volume["name"])
        ending = ":ro" if mount.get("readOnly") else ""
        options.append(f"--volume={place}:{mount['mountPath']}{ending}")
    return options


def _files(volume: Manifest, given: Given) -> tuple[Mapping[str, str], int]:
    """Names and texts, and their mode; none in a volume that begins empty."""
    if "configMap" in volume:
        return given.configs[volume["configMap"]["name"]], 0o644
    if "secret" in volume:
        secret = volume["secret"]
        return given.secrets[secret["secretName"]], secret["defaultMode"]
    assert "emptyDir" in volume or "persistentVolumeClaim" in volume
    return {}, 0
