"""Runs commands as `lakebed` does, one after the other, and prints their exit codes as JSON."""

import json
import sys

from lakebed.cli.main import main

print(json.dumps({line: main(line.split()) for line in sys.argv[1:]}))
