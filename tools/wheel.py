"""Puts the modules that mypyc compiles into the wheel: tools/compile, as in a checkout.

What browsers load must have been built before, by tools/web, which needs node.

A wheel built where there is no compiler is a pure one. It does the same, slower, and says so when a
gateway starts.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledModules(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # tools/compile puts them beside their source
        if not (Path(self.root) / "src/lakebed/web/dist/manifest.json").exists():
            raise RuntimeError("src/lakebed/web/dist is not there: run `make install` or tools/web")
        self._made = tempfile.TemporaryDirectory()
        root, into = Path(self.root), Path(self._made.name)
        command = [root / "tools" / "compile", sys.executable, into]
        subprocess.run(command, check=True)  # noqa: S603
        compiled = sorted(into.rglob("*.so"))
        for path in compiled:
            build_data["force_include"][str(path)] = str(path.relative_to(into))
        if compiled:
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._made.cleanup()
