"""Who is it? Challenges, digest verification, trusted flows (AUTH-1 to AUTH-9).

Lives here: the one authenticator that registrar and call control share. Never here: where accounts are kept. Nothing is
stored for a stranger but a count of wrong answers, and that in a bounded table.
"""

import hashlib
import hmac
from dataclasses import dataclass

from offhook.sip.attempts import Attempts, source_of
from offhook.sip.digest import Credentials, challenge, parse_credentials, proves
from offhook.sip.errors import PeerError
from offhook.sip.flow import Flow, FlowId
from offhook.sip.ids import Ids
from offhook.sip.location import Account, Secret
from offhook.sip.message import Headers, Request
from offhook.sip.nonces import Nonces
from offhook.sip.uri import parse_uri


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """The credential rows of the limits table."""

    realm: str
    hosts: frozenset[str]
    """Lower-case hosts that a digest URI may name (AUTH-6)."""
    digest_order: tuple[str, ...] = ("MD5",)
    """Challenges offered, in this order. Any second one breaks a client that people use: JsSIP reads the last, SIP.js the
    first, baresip gives up when one is not MD5 (docs/decisions/0007). Answers by either algorithm are verified."""
    nonce_life: float = 600.0
    """`NONCE_LIFE`."""
    nc_lru: int = 100_000
    """`NC_LRU`: nonces whose counts are remembered after a right answer; one forgotten costs its client a round trip."""
    fails_per_user_source: int = 10
    """`FAILS_PER_USER_SOURCE`: typing errors stay below."""
    fails_per_source: int = 60
    """`FAILS_PER_SOURCE`: an office behind one address."""
    sources: int = 50_000
    """Pairs of source and user whose failures are counted; the longest unheard is forgotten first."""
    trust_for: float = 43_200.0
    """Seconds for which a secure or loopback flow is trusted once it proved an endpoint (AUTH-9)."""
    trusted_flows: int = 100_000
    """`FLOWS`; the longest trusted is forgotten first and must prove itself again."""
    epoch: float = 0.0
    """Wall clock minus the core's monotonic clock: no nonce of before a reboot is good after it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The request proves the account."""

    account: Account


@dataclass(frozen=True, slots=True)
class Challenged:
    """It does not: answer 401 or 407 with these fields. `reason` is for the log only, never for the peer (AUTH-7)."""

    headers: Headers
    reason: str = "no-credentials"


Verdict = Verified | Challenged


@dataclass(slots=True)
class _Trust:
    account_id: str
    username: str
    version: int
    until: float


class Authenticator:
    """`secret` keys nonces (and is shared by all nodes). Times are the core's monotonic seconds."""

    def __init__(self, settings: AuthSettings, secret: bytes, ids: Ids) -> None:
        self._settings = settings
        self._secret = secret
        self._nonces = Nonces(settings.realm, secret, ids, settings.epoch, settings.nc_lru)
        budgets = (settings.fails_per_user_source, settings.fails_per_source, settings.sources)
        self._attempts = Attempts(*budgets)
        # A nonce that is not ours may come with a forged source address: such guesses lock nobody out, but they are
        # counted by themselves, for `stale=true` would tell a guesser that the password was right.
        self._foreign = Attempts(*budgets)
        self._trusted: dict[FlowId, _Trust] = {}

    # ---- challenges

    def challenge(self, flow: Flow, now: float, proxy: bool = False, stale: bool = False) -> Headers:
        """The challenge fields for 401, or for 407 with `proxy`; one nonce for all algorithms (AUTH-1)."""
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        nonce = self._nonces.issue(flow, now)
        realm = self._settings.realm
        return Headers((name, challenge(realm, nonce, one, stale)) for one in self._settings.digest_order)

    # ---- verification

    def username(self, request: Request, proxy: bool = False) -> str | None:
        """The digest user that the request names for our realm; None without such credentials."""
        found = self._find(request, proxy)
        return found.username if found else None

    def _find(self, request: Request, proxy: bool) -> Credentials | None:
        for value in request.headers.all("Proxy-Authorization" if proxy else "Authorization"):
            credentials = parse_credentials(value)
            if credentials is not None and credentials.realm == self._settings.realm:
                return credentials
        return None

    def verify(self, request: Request, flow: Flow, account: Account | None, now: float, proxy: bool = False) -> Verdict:
        """`account` is the one of `username(request)`, None if there is none; the work is the same either way."""
        credentials = self._find(request, proxy)
        if credentials is None:
            return Challenged(self.challenge(flow, now, proxy))
        source, user = source_of(flow.remote[0]), credentials.username
        age = self._nonces.age(credentials.nonce, flow, now)
        attempts = self._foreign if age is None else self._attempts
        if attempts.locked(source, user, now) or self._attempts.locked(source, user, now):
            return Challenged(self.challenge(flow, now, proxy), "login-locked")
        right = self._right(credentials, request, account)
        if not right or account is None:
            attempts.failed(source, user, now)
            return Challenged(self.challenge(flow, now, proxy), "credentials-wrong")
        attempts.succeeded(source, user)
        # AUTH-5: too old, of another flow, or used before.
        fresh = age is not None and age <= self._settings.nonce_life
        if not fresh or not self._nonces.count(credentials.nonce, credentials.nc, credentials.qop):
            return Challenged(self.challenge(flow, now, proxy, stale=True), "stale-nonce")
        return Verified(account)

    def _right(self, credentials: Credentials, request: Request, account: Account | None) -> bool:
        if credentials.algorithm not in ("MD5", "SHA-256") or credentials.qop not in ("", "auth"):
            return False
        # AUTH-7: an unknown user costs the same hash over a decoy that no password fits.
        decoy = hmac.new(self._secret, b"decoy" + credentials.username.encode("utf-8", "replace"), hashlib.sha256)
        secret = Secret(decoy.hexdigest())
        if account is not None and account.enabled and account.username == credentials.username:
            secret = account.ha1_md5 if credentials.algorithm == "MD5" else account.ha1_sha256
        return proves(credentials, secret, request.method, request.body) and self._names_us(credentials.uri)

    def _names_us(self, text: str) -> bool:
        try:
            return parse_uri(text).host in self._settings.hosts
        except PeerError:
            return False

    # ---- trusted flows (AUTH-9)

    def trust(self, flow: Flow, account: Account, now: float) -> None:
        """After a proof: a secure or loopback connection is believed from now on. UDP never is: it can be forged."""
        if flow.transport.reliable and (flow.secure or flow.loopback):
            until = now + self._settings.trust_for
            self._trusted.pop(flow.id, None)
            self._trusted[flow.id] = _Trust(account.id, account.username, account.credential_version, until)
            if len(self._trusted) > self._settings.trusted_flows:
                del self._trusted[next(iter(self._trusted))]

    def trusted(self, flow: FlowId, now: float) -> str | None:
        """The user name that a flow has proved, None if it has not or too long ago."""
        found = self._trusted.get(flow)
        return found.username if found is not None and found.until > now else None

    def still_trusts(self, flow: FlowId, account: Account | None, now: float) -> bool:
        """True while the proof stands: same account, same credentials, not disabled."""
        found = self._trusted.get(flow)
        if found is None or found.until <= now or account is None or not account.enabled:
            return False
        return (found.account_id, found.version) == (account.id, account.credential_version)

    def forget_flow(self, flow: FlowId) -> None:
        """The flow is gone."""
        self._trusted.pop(flow, None)

    def forget_account(self, username: str) -> None:
        """The account's credentials changed or are gone: its flows must prove themselves again."""
        self._trusted = {flow: one for flow, one in self._trusted.items() if one.username != username}
