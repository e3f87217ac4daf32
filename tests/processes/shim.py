"""`lakebed` for shell scripts: passes itself on to the fork server, and ends as that one ends.

    python -ES shim.py SOCKET MODULE ARGUMENTS

It imports little: it is started once for every command of a script.
"""

import json
import os
import socket
import sys

if __name__ == "__main__":
    path, module, *arguments = sys.argv[1:]
    request = {
        "module": module,
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        data = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(connection, [data], [0, 1, 2])
        connection.sendall(data[sent:])
        with connection.makefile() as answers:
            answers.readline()
            sys.exit(json.loads(answers.readline())["code"])
