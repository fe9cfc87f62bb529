"""Files of authorities that cannot be used are named before anything begins, with the setting that names them."""

from pathlib import Path

import pytest

from offhook.server.certificates.keeper import CertificateKeeper
from offhook.server.errors import StartError
from offhook.server.setting_sources import load


@pytest.mark.parametrize("setting", ["sip.tls_authorities", "acme.directory_ca"])
def test_what_holds_no_certificate_is_named(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "authorities.pem"
    settings = load({f"OFFHOOK_{setting}".replace(".", "_").upper(): str(file)}, {("data",): tmp_path})
    with pytest.raises(StartError, match=f"{setting} {file}: No such file"):
        CertificateKeeper(settings).prepare()
    file.write_text("no certificate")
    with pytest.raises(StartError, match=f"{setting} {file}: holds no certificate in PEM"):
        CertificateKeeper(settings).prepare()
