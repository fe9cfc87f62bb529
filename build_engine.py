"""Builds the media engine with cargo and ships `offhook-media` as a script of the wheel."""

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildEngine(BuildHookInterface):  # type: ignore[type-arg]
    """Runs `cargo build` with the profile of OFFHOOK_BUILD_PROFILE (default `release`)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        profile = os.environ.get("OFFHOOK_BUILD_PROFILE", "release")
        command = ["cargo", "build", "--profile", profile, "--locked", "--package", "offhook-engine"]
        subprocess.run(command, cwd=self.root, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", Path(self.root, "target")))
        binary = target / profile / "offhook-media"
        build_data["shared_scripts"][str(binary)] = binary.name
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
