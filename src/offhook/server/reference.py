"""Writes the reference pages from the code: `python -m offhook.server.reference docs/reference`."""

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from offhook.calls import refusals
from offhook.calls.catalogue import CATALOGUE, FINDING_OF_VERDICT
from offhook.server.config import Settings
from offhook.server.metrics import METRICS, PREFIX
from offhook.server.setting_sources import SHORT_NAMES


def settings_page() -> str:
    """Every setting with its docstring. Raises ValueError for one without."""
    lines = [
        "# Settings",
        "",
        "In `offhook.toml` as `[group]` and `name`, in the environment as `OFFHOOK_GROUP_NAME`; some have a short name or a",
        "flag of `offhook serve` too. Flags win over the environment, the environment over the file.",
        "",
        "`data` (`OFFHOOK_DATA`, `--data`): directory for the database, the engine's control socket and `first-run.json`;",
        "default `offhook-data`.",
    ]
    short = {place: name for name, place in SHORT_NAMES.items()}
    for group, field in Settings.model_fields.items():
        kind: Any = field.annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            continue
        lines += [
            "",
            f"## {group}",
            "",
            (kind.__doc__ or "").strip(),
            "",
            "| setting | default | meaning |",
            "|---|---|---|",
        ]
        for name, one in kind.model_fields.items():
            if not one.description:
                raise ValueError(f"{group}.{name} has no docstring")
            also = f" (`{short[(group, name)]}`)" if (group, name) in short else ""
            meaning = " ".join(one.description.split())
            lines.append(f"| `{group}.{name}`{also} | `{one.default}` | {meaning} |")
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """The error catalogue."""
    lines = [
        "# Error codes",
        "",
        "On the SIP wire a code stands in `Warning: 399 DOMAIN \"slug text\"`, with hyphens. SIP 0: never on the wire.",
        "The server shows this table at `/docs/errors`, with an anchor for each code.",
        "",
        "| code | SIP | Q.850 | severity | cause | remedy |",
        "|---|--:|--:|---|---|---|",
    ]  # fmt: skip
    of_calls = [row for row in CATALOGUE.values() if row not in refusals.ROWS]
    lines += [_cells(f"`{one.code}`", one.sip, one.q850 or "", one.severity, one.cause, one.remedy) for one in of_calls]
    lines += [
        "",
        "## REST requests",
        "",
        "Codes that only refuse a request (API; the codes above can stand in an answer too).",
        "",
        "| code | status | cause | remedy |",
        "|---|--:|---|---|",
    ]
    lines += [_cells(f"`{one.code}`", one.http, one.cause, one.remedy) for one in refusals.ROWS]
    lines += ["", "## The compat family", "", "| code | status | cause |", "|---|--:|---|"]
    lines += [_cells(f"`{number}`", status, cause) for number, status, cause in refusals.COMPAT]
    return "\n".join(lines) + "\n"


def _cells(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def silence_page() -> str:
    """What each verdict of the media engine means in words."""
    lines = [
        "# Silence, explained",
        "",
        "Two seconds after sound should flow the media engine names why it does not, for each direction of each leg.",
        "`offhook call show`, `offhook trace` and the API say it in the words below, with the evidence beside it. A leg",
        "that is silent because the *other* leg is (verdict `no_source`) says so there. What begins with `rtcp_` is about",
        "reports beside sound that flows.",
        "",
        "`socket_drops` in the evidence counts packets that did come and that this server dropped unread, being too busy;",
        "`port_drops` those at the port that browsers share, whoever sent them. The same in all is the metric",
        "`offhook_media_unread_total`, and the finding `high_loss` says `dropped_by_server`. Then the server is to blame,",
        "not the way to it: add cores, or a node.",
        "",
        "| verdict | code | what it means | what to do |",
        "|---|---|---|---|",
    ]
    for verdict, code in FINDING_OF_VERDICT.items():
        row = CATALOGUE[code]
        lines.append(f"| `{verdict}` | `{code}` | {row.cause} | {row.remedy} |")
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric."""
    lines = [
        "# Metrics",
        "",
        "`GET /metrics` in the text form of Prometheus: free from this machine, elsewhere with an API token that has",
        "`monitor`. Counters begin at 0 with each start. Behind a proxy on the same machine that does not send `Forwarded`",
        "everybody looks like this machine: do not pass `/metrics` on there.",
        "",
        "| metric | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for one in METRICS:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(_cells(f"`{PREFIX}{one.name}`", one.kind, labels, one.help))
    return "\n".join(lines) + "\n"


PAGES = {"metrics.md": metrics_page, "settings.md": settings_page, "errors.md": errors_page, "silence.md": silence_page}


def main(folder: Path) -> None:
    """Writes every page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
