"""What the guides tell people to type exists: commands with their options, settings, files."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from offhook.cli import app
from offhook.server.config import Settings
from offhook.server.setting_sources import load

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
    *sorted((ROOT / "docs" / "help").glob("*.md")),
]
OUTSIDE = {"node_modules", "target", "dist", "artefacts"}


def files() -> Iterator[str]:
    """Paths from the root, without what is built or brought here."""
    for folder, below, names in os.walk(ROOT):
        below[:] = [one for one in below if one not in OUTSIDE and not one.startswith(".")]
        yield from (Path(folder, name).relative_to(ROOT).as_posix() for name in names)


FILES = list(files())
WRITTEN = [ROOT / path for path in FILES if path.endswith(".md")]
NAMED = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|rs|mjs|sh|xml))(?=[`: ])")
"""A file of ours in the text; Python modules of others have no ending there."""
NAMED_TEST = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|rs|mjs))::(\w+)`")
COMMAND = re.compile(r"(?m)^ {4,}(offhook [^\n]+)$|`(offhook [^`\n]+)`")
SETTING = re.compile(r"`([a-z_]+)\.([a-z_]+)( = [^`]+)?`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def groups() -> dict[str, set[str]]:
    return {name: set(getattr(field.annotation, "model_fields", {})) for name, field in Settings.model_fields.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    for typed in (one or other for one, other in COMMAND.findall(page.read_text())):
        words = shlex.split(typed.split("|")[0].split(" #")[0])
        command: Any = typer.main.get_command(app)
        for word in words[1:]:
            if hasattr(command, "commands") and not word.startswith("-"):
                assert word in command.commands, f"{typed}: no command {word}"
                command = command.commands[word]
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        common = {name for one in typer.main.get_command(app).params for name in one.opts}
        for word in words[1:]:
            if word.startswith("--"):
                assert word.split("=")[0] in known | common, f"{typed}: no option {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_exist(page: Path) -> None:
    known = groups()
    for group, name, _ in SETTING.findall(page.read_text()):
        if group in known:
            assert name in known[group], f"no setting {group}.{name}"


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_linked_and_named_files_exist(page: Path) -> None:
    """Links of every page; and the files it names, by their path from the root or the page, or by the end of the path."""
    text = page.read_text()
    for target in LINK.findall(text):
        assert (page.parent / target).exists(), f"{target} is not there"
    for name in NAMED.findall(text):
        assert (page.parent / name).exists() or any(f"/{path}".endswith(f"/{name}") for path in FILES), (
            f"no file {name}"
        )
    for name, test in NAMED_TEST.findall(text):
        meant = [ROOT / path for path in FILES if f"/{path}".endswith(f"/{name}")]
        assert any(re.search(rf"\b(?:def|fn) {test}\b", path.read_text()) for path in meant), f"no test {name}::{test}"


def test_what_runs_it_for_good_names_settings_and_commands_that_exist() -> None:
    """The compose file, the systemd unit, the chart and the container file of deploy/ start today's server."""
    deploy = ROOT / "deploy"
    service = yaml.safe_load((deploy / "compose.yaml").read_text())["services"]["offhook"]
    environment = {
        name: re.sub(r"\$\{[^}]+\}", "pbx.example.com", value) for name, value in service["environment"].items()
    }
    settings = load(environment, {}, None)
    assert (settings.acme.domains, settings.sip.domain) == (("pbx.example.com",), "pbx.example.com")
    assert (ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    unit = (deploy / "offhook.service").read_text()
    chart = (deploy / "helm" / "templates" / "statefulset.yaml").read_text()
    container = (deploy / "Containerfile").read_text()
    for name in re.findall(r"OFFHOOK_[A-Z_]+", unit + chart + container):
        load({name: "0" if "PORT" in name else "x"}, {}, None)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert set(re.findall(r"bin/offhook (\w+)", unit)) | set(re.findall(r'"offhook", "(\w+)"', container)) <= set(
        commands
    )
    assert set(re.findall(r"path: (/\w+)", chart)) == {"/healthz", "/readyz"}
