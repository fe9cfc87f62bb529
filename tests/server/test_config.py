"""Settings: precedence, and errors that name the place."""

from pathlib import Path

import pytest

from offhook.server.config import SettingError, load


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text('[http]\nport = 1111\n[sip]\nport = 2222\ndomain = "file.example"\n')
    settings = load({"OFFHOOK_SIP_PORT": "3333", "OFFHOOK_HTTP_PORT": "4444"}, {("http", "port"): 5555}, file)
    assert (settings.http.port, settings.sip.port, settings.sip.domain) == (5555, 3333, "file.example")


@pytest.mark.parametrize(
    ("variable", "value", "path", "expected"),
    [
        ("OFFHOOK_DATA", "/tmp/x", "data", Path("/tmp/x")),
        ("OFFHOOK_HTTPS_PORT", "1", "http.https_port", 1),
        ("OFFHOOK_SIPS_PORT", "2", "sip.tls_port", 2),
        ("OFFHOOK_MEDIA_PORT", "3", "media.port", 3),
        ("OFFHOOK_RTP_PORTS", "30000-30010", "media.rtp_ports", "30000-30010"),
        ("OFFHOOK_DOMAIN", "pbx.example", "sip.domain", "pbx.example"),
        ("OFFHOOK_LIMITS_FLOW_GRACE", "1.5", "limits.flow_grace", 1.5),
        ("OFFHOOK_SIP_DIGEST_ORDER", "SHA-256,MD5", "sip.digest_order", ("SHA-256", "MD5")),
    ],
)
def test_every_form_of_variable_is_read(variable: str, value: str, path: str, expected: object) -> None:
    found: object = load({variable: value}, {})
    for part in path.split("."):
        found = getattr(found, part)
    assert found == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[http]\nport = 1\nprot = 2\n", "line 3: http.prot: is not a setting"),
        ("[sip]\n\nport = 70000\n", "line 3: sip.port"),
        ("[nothing]\nx = 1\n", "nothing"),
        ("[http\n", "offhook.toml"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text(text)
    with pytest.raises(SettingError, match=words):
        load({}, {}, file)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"OFFHOOK_COLOUR": "red"}, "OFFHOOK_COLOUR: no such setting"),
        ({"OFFHOOK_HTTP_PORT": "many"}, "OFFHOOK_HTTP_PORT: http.port"),
        ({"OFFHOOK_RTP_PORTS": "9-8"}, "low-high"),
        ({"OFFHOOK_HTTP_CERTIFICATE": "x.pem"}, "belong together"),
    ],
)
def test_a_wrong_variable_is_named(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        load(environment, {})
