"""Clients that go on whatever happens: each numbers its messages and tells the oracle.

A sender is a thread. It sends small bursts until `finish`, then waits until all it sent has its
answer, as its users would.
"""

import base64
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any

import httpx
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.clients import readings
from tests.crash.oracle import Oracle, Repeats, Sent, times
from tests.server import Server

PATIENCE = float(times(120, 1200))  # seconds until the last answer must be there
_WAITING = 400  # messages without an answer at which a sender waits
_PAUSE = (0.02, 0.3)  # seconds between two bursts: least, most
_BURST = 8  # messages at most
_NOBODY = 0x10  # reason code: the broker has a message for nobody, and let it go (MQTT 5, 3.4.2.1)
_numbers = itertools.count(1)


class Sender(threading.Thread):
    """What all have in common: messages, their pace, and their end.

    Args:
        repeats: see `Sent`.
        ids, timed: whether messages carry an id and an event time.
    """

    def __init__(
        self,
        oracle: Oracle,
        name: str,
        seed: int,
        *,
        ids: bool,
        timed: bool,
        repeats: Repeats = "never",
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._oracle, self._dice = oracle, random.Random(f"{seed} {name}")
        self._repeats, self._ids, self._timed = repeats, ids, timed
        self._ending = threading.Event()
        self._error: BaseException | None = None

    def finish(self) -> None:
        """Send nothing more, wait for all answers; raise what went wrong."""
        self._ending.set()
        self.join(PATIENCE + 30)
        assert not self.is_alive(), f"{self.name} did not come to its end"
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error

    def break_connection(self) -> None:
        """Where there is one that lasts."""

    def _work(self) -> None:
        raise NotImplementedError

    def _burst(self) -> list[Sent]:
        messages = [self._message() for _ in range(self._dice.randint(1, _BURST))]
        for message in messages:
            self._oracle.send(message)
        return messages

    def _message(self) -> Sent:
        number = next(_numbers)
        kind = self._dice.choices(("number", "text", "json", "nobody"), (5, 3, 3, 1))[0]
        value = self._dice.randint(-50, 100)
        payload = {
            "number": f"{number}",
            "text": f"message {number} of {self.name} ☂",
            "json": json.dumps({"number": number, "value": value}),
            "nobody": f"{number}",
        }[kind]
        topic = f"{'nobody' if kind == 'nobody' else f'o/{kind}'}/{self.name}"
        if kind == "nobody" and self._repeats != "never":
            topic = f"o/text/{self.name}"
        # most are of now, some come late: windows that left memory are opened again
        age = self._dice.choice((0.0, 0.0, 0.0, 1.0, 20.0)) * self._dice.random()
        moment = datetime.now(UTC) - timedelta(seconds=age)
        return Sent(
            number, topic, payload, self._repeats,
            moment if self._timed else None, f"m{number}" if self._ids else None,
        )  # fmt: skip

    def _pause(self) -> None:
        self._ending.wait(self._dice.uniform(*_PAUSE))


class MqttSender(Sender):
    """paho at a port: Lakebed's own, or that of a broker it has joined."""

    def __init__(
        self, oracle: Oracle, name: str, seed: int, server: Server, port: int, *, qos: int,
        version: int, ids: bool = False, repeats: Repeats = "never", keep_alive: int = 30,
    ) -> None:  # fmt: skip
        if qos == 1 and not ids:
            repeats = "unanswered" if port == server.mqtt_port else "always"
        super().__init__(oracle, name, seed, ids=ids, timed=ids, repeats=repeats)
        self._keep_alive = keep_alive
        self._server, self._port, self._qos, self._version = server, port, qos, version
        self._client = readings.paho_client(server, name, version)
        self._answers: SimpleQueue[tuple[int, bool]] = SimpleQueue()
        self._waiting: dict[int, int] = {}  # packet identifier -> number

    def break_connection(self) -> None:
        connection = self._client.socket()
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _work(self) -> None:
        client = self._client
        # called with paho's locks held: takes none of ours
        client.on_publish = lambda _c, _d, packet, reason, _more: self._answers.put(
            (packet, reason.value != _NOBODY)
        )
        session = readings.session(self._version, self.name)
        client.on_disconnect = self._disconnected
        client.connect_async("127.0.0.1", self._port, keepalive=self._keep_alive, **session)
        client.loop_start()
        try:
            while not self._ending.is_set():
                if len(self._waiting) < _WAITING:
                    for message in self._burst():
                        self._publish(client, message)
                self._collect()
                self._pause()
            until = time.monotonic() + PATIENCE
            while self._waiting:
                assert time.monotonic() < until, f"{self.name} waits for {len(self._waiting)}"
                self._collect()
                time.sleep(0.05)
        finally:
            client.disconnect()
            client.loop_stop()

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        """Before it connects anew, and sends again."""
        if reason.getName() == "Keep alive timeout":
            self._oracle.stalled()
        else:
            self._oracle.died()

    def _publish(self, client: readings.Paho, message: Sent) -> None:
        properties = _properties(message) if message.id is not None else None
        sent = client.publish(message.topic, message.payload, self._qos, properties=properties)
        self._waiting[sent.mid] = message.number

    def _collect(self) -> None:
        answered = []
        try:
            while True:
                packet, taken = self._answers.get_nowait()
                number = self._waiting.pop(packet)
                if taken:
                    answered.append(number)
        except Empty:
            self._oracle.acknowledge(answered)


def _properties(message: Sent) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    assert message.time is not None
    properties.UserProperty = [("id", message.id)]
    properties.UserProperty = [("time", message.time.isoformat())]  # paho appends
    return properties


class BatchSender(Sender):
    """HTTP batches with ids: sent as they are until they are accepted."""

    def __init__(self, oracle: Oracle, name: str, seed: int, server: Server) -> None:
        super().__init__(oracle, name, seed, ids=True, timed=True)
        self._server = server

    def _work(self) -> None:
        while not self._ending.is_set():
            messages = [message for _ in range(3) for message in self._burst()]
            body = "\n".join(json.dumps(_line(message)) for message in messages)
            until_accepted(
                lambda body=body: self._server.request(
                    "POST", "/api/v1/messages/batch", content=body
                )
            )
            self._oracle.acknowledge(message.number for message in messages)
            self._pause()


def _line(message: Sent) -> dict[str, Any]:
    assert message.time is not None
    payload = base64.b64encode(message.payload.encode()).decode()
    return {
        "topic": message.topic,
        "payload_base64": payload,
        "time": message.time.isoformat(),
        "id": message.id,
    }


class SingleSender(Sender):
    """HTTP, one message a request: with ids sent until accepted, without them once and no more."""

    def __init__(self, oracle: Oracle, name: str, seed: int, server: Server, *, ids: bool) -> None:
        super().__init__(oracle, name, seed, ids=ids, timed=True)
        self._server = server

    def _work(self) -> None:
        while not self._ending.is_set():
            for message in self._burst():
                if self._post(message):
                    self._oracle.acknowledge([message.number])
            self._pause()

    def one(self) -> Sent:
        """Send a single message that is kept; returns when it is acknowledged."""
        while not (message := self._message()).kept:
            pass
        self._oracle.send(message)
        assert self._post(message)
        self._oracle.acknowledge([message.number])
        return message

    def _post(self, message: Sent) -> bool:
        def request() -> httpx.Response:
            assert message.time is not None
            headers = {"X-Event-Time": message.time.isoformat()}
            if message.id is not None:
                headers["X-Message-Id"] = message.id
            return self._server.request(
                "POST", "/api/v1/messages", params={"topic": message.topic},
                content=message.payload.encode(), headers=headers,
            )  # fmt: skip

        if message.id is None:
            answer = attempt(request)
            if answer is None:
                time.sleep(0.2)
            return answer is not None
        until_accepted(request)
        return True


class Editor(threading.Thread):
    """Writes policies again and again: all the given documents, one after the other."""

    def __init__(self, server: Server, seed: int, documents: list[dict[str, Any]]) -> None:
        super().__init__(name="editor", daemon=True)
        self._server, self._documents = server, documents
        self._dice = random.Random(f"{seed} editor")
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self.edits = 0

    def run(self) -> None:
        try:
            while not self._ending.wait(self._dice.uniform(0.1, 0.6)):
                document = self._dice.choice(self._documents)
                path = f"/api/v1/policies/{document['name']}"
                answer = attempt(lambda p=path, d=document: self._server.request("PUT", p, json=d))
                self.edits += answer is not None
        except BaseException as error:
            self._error = error

    def finish(self) -> None:
        self._ending.set()
        self.join(60)
        if self._error is not None:
            raise self._error


Request = Callable[[], httpx.Response]


def attempt(request: Request) -> httpx.Response | None:
    """The answer, or None where there was none or it was "not now"; all others are wrong."""
    try:
        answer = request()
    except (httpx.HTTPError, OSError):
        return None
    assert answer.status_code in (200, 201, 202, 503), answer.text
    return None if answer.status_code == 503 else answer


def until_accepted(request: Request) -> None:
    until = time.monotonic() + PATIENCE
    while attempt(request) is None:
        assert time.monotonic() < until, "never accepted"
        time.sleep(0.1)
