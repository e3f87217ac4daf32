"""An edge node with a device, by pysparkplug: sends what its standard input asks for.

PORT [TOKEN]: connects and is born. Then lines: `node VALUE`, `device VALUE`, `leave`.
"""

import sys

from pysparkplug import Client, DataType, Device, EdgeNode, Metric, get_current_timestamp


def metric(name: str, kind: DataType, value: object) -> Metric:
    return Metric(timestamp=get_current_timestamp(), name=name, datatype=kind, value=value)


def main() -> None:
    client = Client(username="press", password=sys.argv[2]) if sys.argv[2:] else None
    metrics = [metric("Inlet/Temperature", DataType.FLOAT, 20.5)]
    node = EdgeNode("plant", "press", metrics, client)
    node.register(Device("motor", [metric("speed", DataType.INT32, -5)]))
    node.connect("127.0.0.1", port=int(sys.argv[1]))
    print("started", flush=True)
    for line in sys.stdin:
        what, _, value = line.strip().partition(" ")
        if what == "node":
            node.update([metric("Inlet/Temperature", DataType.FLOAT, float(value))])
        elif what == "device":
            node.update_device("motor", [metric("speed", DataType.INT32, int(value))])
        elif what == "leave":
            node.deregister("motor")


if __name__ == "__main__":
    main()
