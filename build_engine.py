"""Builds what the wheel ships beside Python: the media engine with cargo, as a script, and the core compiled with mypyc."""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildEngine(BuildHookInterface):  # type: ignore[type-arg]
    """Runs `cargo build` with the profile of OFFHOOK_BUILD_PROFILE (default `release`).

    With OFFHOOK_BUILD_CORE=1 the core is compiled too, unless the installation is editable; such a wheel is for one version
    of Python.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        profile = os.environ.get("OFFHOOK_BUILD_PROFILE", "release")
        command = ["cargo", "build", "--profile", profile, "--locked", "--package", "offhook-engine"]
        subprocess.run(command, cwd=self.root, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", Path(self.root, "target")))
        binary = target / profile / "offhook-media"
        build_data["shared_scripts"][str(binary)] = binary.name
        build_data["pure_python"] = False
        python = "py3-none"
        if version != "editable" and os.environ.get("OFFHOOK_BUILD_CORE") == "1":
            self._compile_core(build_data)
            python = f"cp{sys.version_info.major}{sys.version_info.minor}"
            python = f"{python}-{python}"
        build_data["tag"] = f"{python}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    def _compile_core(self, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, self.root)
        import build_core

        if (lacking := build_core.obstacle()) is not None:
            raise RuntimeError(f"OFFHOOK_BUILD_CORE is 1, but {lacking}")
        self._folder = tempfile.TemporaryDirectory(prefix="offhook-core-")
        folder = Path(self._folder.name)
        for extension in build_core.build(folder / "core"):
            build_data["force_include"][str(extension)] = str(
                extension.relative_to((folder / "core" / "package").resolve())
            )
