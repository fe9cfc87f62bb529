"""Settings: precedence, and errors that name the place."""

import inspect
from pathlib import Path

import pytest

from offhook.cli.serve import serve
from offhook.server.setting_sources import FLAGS, SettingError, load


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
        ("[http]\nport = 1\n[nothing]\nx = 1\n", "line 4: nothing: is not a setting"),
        ("[http\n", "offhook.toml"),
        ("http = 8080\n", r"line 1: http: is a group: write \[http\] above its settings"),
        ('[http]\nport = "many"\n', "line 2: http.port: 'many' is not right, give a whole number"),
        ('[log]\nlevel = "loud"\n', "'loud' is not right, what is wanted: debug, info, warning or error"),
        ('[sip]\naliases = "one.example"\n', r'give a list: \["one", "another"\]'),
        ('[sip]\ndomain = "two words"\n', "line 2: sip.domain: 'two words' is not right"),
        ('[acme]\ndomains = ["https://pbx.example.com"]\n', "acme.domains: 'https://pbx.example.com' is not right"),
        (
            '[http]\ntrusted_proxies = ["proxy"]\n',
            "line 2: http.trusted_proxies: 'proxy' is not right, give a network like",
        ),
        (
            '[sip]\ntrusted_proxies = ["10.1.2.3/8"]\n',
            "sip.trusted_proxies: '10.1.2.3/8' is not right, give a network like",
        ),
        ('[webhooks]\nallow_networks = ["10.0.0.0/99"]\n', "webhooks.allow_networks: '10.0.0.0/99' is not right"),
        ('[outbound]\nnetworks = ["lan"]\n', "outbound.networks: 'lan' is not right"),
        ('[http]\norigins = ["shop"]\n', "http.origins: 'shop' is not right, give an origin like https"),
        ('[http]\ncors_origins = ["https://a.example/page"]\n', "http.cors_origins: .* without a path"),
        ('[media]\npublic_address = ["pbx.example.com"]\n', "line 2: media.public_address: .* give an IP address"),
        (
            '[sip]\ndns_servers = ["192.0.2.1:many"]\n',
            "sip.dns_servers: '192.0.2.1:many' is not right, give an address",
        ),
        ('[sip]\ndigest_order = ["SHA-1"]\n', "sip.digest_order: 'SHA-1' is not right, give 'MD5' or 'SHA-256'"),
        ("[sip]\ndigest_order = []\n", "sip.digest_order: give one at least"),
        ('[sip]\nproject_aliases = ["a b"]\n', "sip.project_aliases: 'a b' is not right, give a name, or .example.com"),
        ('[sip]\naliases = ["a b"]\n', "sip.aliases: 'a b' is not right"),
        ('[numbers]\nemergency = ["fire"]\n', "numbers.emergency: 'fire' is not right, give the digits"),
        ('[sounds]\nlanguage = "de"\n', "sounds.language: 'de' is not right, give 'en'"),
        ("[limits]\nflow_grace = -3\n", "limits.flow_grace: -3.* is not right, give at least 0"),
        ("[limits]\nflows = 0\n", "limits.flows: 0 is not right, give at least 1"),
        ("[limits]\ncall_rate = 0\n", "limits.call_rate: 0 is not right, give more than 0"),
        ("[sip]\nmin_se = 3000\n", "sip.min_se: give at most sip.session_expires"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text(text)
    with pytest.raises(SettingError, match=words):
        load({}, {}, file)


def test_a_file_that_is_no_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_bytes(b'[sip]\ndomain = "b\xfcro"\n')
    with pytest.raises(SettingError, match="line 2: no UTF-8"):
        load({}, {}, file)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("http", "port"), 70_000, "flag --http-port: http.port: 70000 is not right, give at most 65535"),
        (("log", "level"), "loud", "flag --log-level"),
        (("media", "rtp_ports"), "41000", "flag --rtp-ports"),
        (("sip", "domain"), "two words", "flag --domain"),
    ],
)
def test_a_wrong_flag_is_named_as_it_was_given(place: tuple[str, ...], value: object, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        load({}, {place: value})


@pytest.mark.parametrize("place", FLAGS)
def test_flags_that_are_called_otherwise_exist(place: tuple[str, ...]) -> None:
    assert FLAGS[place] in inspect.signature(serve).parameters


@pytest.mark.parametrize("host", ["localhost", "pbx.example.com", "my_pbx", "PBX", "192.0.2.1", "2001:db8::1", "[::1]"])
def test_hosts_that_may_be_a_domain(host: str) -> None:
    assert load({"OFFHOOK_DOMAIN": host}, {}).sip.domain == host


def test_lists_that_are_right(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text(
        """
        http.origins = ["null", "https://shop.example.com", "http://localhost:8000", "https://[2001:db8::1]:8443"]
        http.trusted_proxies = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]
        sip.project_aliases = [".example.com", "pbx.example.com"]
        sip.dns_servers = ["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53"]
        media.public_address = ["203.0.113.9", "2001:db8::9"]
        numbers.emergency = ["110"]
        """
    )
    assert load({}, {}, file).sip.dns_servers[3] == "[2001:db8::1]:53"
    assert load({"OFFHOOK_HTTP_ORIGINS": ""}, {}).http.origins == (), "an empty variable is an empty list"


def test_a_secret_of_the_wrong_kind_is_not_told(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text("[homer]\nkey = 314159\n")
    with pytest.raises(SettingError, match=r"line 2: homer\.key: give a text in quotes") as caught:
        load({}, {}, file)
    assert "314159" not in str(caught.value)


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
