"""The name of this process, for people who look for it among others."""

import os
import socket


def process_name() -> str:
    """HOST:PID; in a container the host is its name, such as that of a pod."""
    return f"{socket.gethostname()}:{os.getpid()}"
