"""Which version of a module a Go program was built of."""

import subprocess


def module_version(program: str, module: str) -> str:
    """As `go version -m` tells it, or "unknown" where there is no Go."""
    try:
        found = subprocess.run(
            ["go", "version", "-m", program], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    for line in found.stdout.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] in ("mod", "dep") and words[1] == module:
            return words[2].removeprefix("v")
    return "unknown"
