"""Credentials for a challenge, MD5 with qop=auth, written without a line of Offhook's."""

import hashlib
import re


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def authorization(challenge: str, method: str, uri: str, user: str, password: str) -> str:
    """The Authorization or Proxy-Authorization line that answers the first challenge of a response."""
    found = re.search(r"(?m)^(WWW|Proxy)-Authenticate: Digest (.*?)\r$", challenge)
    assert found, f"no challenge in {challenge}"
    carrier = "Authorization" if found.group(1) == "WWW" else "Proxy-Authorization"
    named = dict(re.findall(r'(\w+)="([^"]*)"', found.group(2)))
    secret = _md5(f"{user}:{named['realm']}:{password}")
    answer = _md5(f"{secret}:{named['nonce']}:00000001:c:auth:{_md5(f'{method}:{uri}')}")
    return (
        f'{carrier}: Digest username="{user}", realm="{named["realm"]}", nonce="{named["nonce"]}", uri="{uri}", '
        f'response="{answer}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'
    )
