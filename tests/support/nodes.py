"""Nodes, accounts and credentials for tests of the SIP layer."""

from offhook.sip.config import SipConfig
from offhook.sip.credentials import Authenticator, AuthSettings
from offhook.sip.digest import Credentials, both_ha1, response_of
from offhook.sip.digest import ha1 as make_ha1
from offhook.sip.domains import parted
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.fields import parse_auth
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request, Response
from tests.support.ids import SeededIds

DOMAIN = "example.com"


def make_authenticator(seed: int = 0, domain: str = DOMAIN) -> Authenticator:
    """The real one, with a fixed secret."""
    return authenticator_of(SipConfig(domain), seed)


def authenticator_of(config: SipConfig, seed: int = 0) -> Authenticator:
    """The same for a server of several domains."""
    hosts = frozenset({config.domain, *config.aliases})
    settings = AuthSettings(config.domain, hosts, config.domains)
    return Authenticator(settings, b"secret of the tests", SeededIds(seed))


def make_endpoint(name: str = "node", seed: int = 0, config: SipConfig | None = None) -> SipEndpoint:
    """One SIP node; tokens begin with the first letter of its name, which makes ladders and dumps readable."""
    config = config or SipConfig(DOMAIN)
    return SipEndpoint(config, SeededIds(seed, name[:1]), authenticator_of(config, seed))


def make_account(username: str, password: str = "zanzibar", realm: str = DOMAIN) -> Account:
    """An endpoint's account, by its name on the server."""
    md5, sha256 = both_ha1(parted(username)[0], realm, password)
    return Account(f"id-{username}", username, realm, md5, sha256)


def authorized(request: Request, answer: Response, username: str, password: str = "zanzibar", nc: int = 1) -> Request:
    """The request once more with next CSeq, new branch and the credentials that the first challenge asks for."""
    proxy = answer.status == 407
    challenge = answer.headers.get("Proxy-Authenticate" if proxy else "WWW-Authenticate") or ""
    params = parse_auth(challenge)[1]
    number = int((request.headers.get("CSeq") or "0").split()[0]) + 1
    credentials = Credentials(
        username=username,
        realm=params["realm"],
        nonce=params["nonce"],
        uri=f"sip:{params['realm']}",
        response="",
        algorithm=params["algorithm"],
        qop="auth",
        nc=f"{nc:08x}",
        cnonce="0a4f113b",
    )
    secret = make_ha1(credentials.algorithm, username, credentials.realm, password)
    proof = response_of(credentials, secret, request.method)
    value = (
        f'Digest username="{username}", realm="{credentials.realm}", nonce="{credentials.nonce}", '
        f'uri="{credentials.uri}", response="{proof}", algorithm={credentials.algorithm}, qop=auth, '
        f"nc={credentials.nc}, cnonce={credentials.cnonce!r}".replace("'", '"')
    )
    via = f"{request.headers.get('Via')}{number}"
    headers = request.headers.replaced("Via", via).replaced("CSeq", f"{number} {request.method}")
    headers = headers.without("Authorization").without("Proxy-Authorization")
    return Request(
        request.method,
        request.uri,
        Headers([*headers, ("Proxy-Authorization" if proxy else "Authorization", value)]),
        request.body,
    )
