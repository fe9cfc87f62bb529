"""Who is it? Stateless nonces, digest verification, budgets for wrong answers, trusted flows (AUTH-1 to AUTH-9).

Lives here: the one authenticator that registrar and call control share. Never here: where accounts are kept. Nothing is
stored for a stranger but a count of wrong answers, and that in a bounded table.
"""

import base64
import hashlib
import hmac
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from offhook.sip.digest import Credentials, challenge, parse_credentials, proves
from offhook.sip.errors import PeerError
from offhook.sip.flow import Flow, FlowId
from offhook.sip.ids import Ids
from offhook.sip.location import Account, Secret
from offhook.sip.message import Headers, Request
from offhook.sip.uri import parse_uri

DAY = 86_400.0
FAIL_WINDOW = 600.0
"""Seconds over which wrong answers count, and for which a source is then not verified."""
NC_WINDOW = 32
"""How far behind the highest nc a new one may come: requests of one client overtake one another."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """The credential rows of the limits table."""

    realm: str
    hosts: frozenset[str]
    """Lower-case hosts that a digest URI may name (AUTH-6)."""
    digest_order: tuple[str, ...] = ("MD5", "SHA-256")
    """Challenges on WebSockets. MD5 first: JsSIP and SIP.js read only the first and know only MD5 (AUTH-2)."""
    phone_digest_order: tuple[str, ...] = ("MD5",)
    """Challenges on UDP, TCP and TLS. Phones built on an older libre end the registration when any challenge is not MD5
    (docs/decisions/0007), so SHA-256 is offered there only by choice."""
    nonce_life: float = 600.0
    """`NONCE_LIFE`."""
    nc_lru: int = 100_000
    """`NC_LRU`: 32 bytes an entry."""
    fails_per_user_source: int = 10
    """`FAILS_PER_USER_SOURCE`: typing errors stay below."""
    fails_per_source: int = 60
    """`FAILS_PER_SOURCE`: an office behind one address."""
    sources: int = 50_000
    """Pairs of source and user whose failures are counted; the longest unheard is forgotten first."""
    trust_for: float = 43_200.0
    """Seconds for which a secure or loopback flow is trusted once it proved an endpoint (AUTH-9)."""


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


@dataclass(slots=True)
class _Counted:
    highest: int = 0
    seen: set[int] = field(default_factory=set)


class Authenticator:
    """`secret` keys nonces (and is shared by all nodes). Times are the core's monotonic seconds."""

    def __init__(self, settings: AuthSettings, secret: bytes, ids: Ids) -> None:
        self._settings = settings
        self._secret = secret
        self._ids = ids
        self._counts: OrderedDict[str, _Counted] = OrderedDict()
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._trusted: dict[FlowId, _Trust] = {}

    # ---- challenges

    def challenge(self, flow: Flow, now: float, proxy: bool = False, stale: bool = False) -> Headers:
        """The challenge fields for 401, or for 407 with `proxy`; one nonce for all algorithms (AUTH-1)."""
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        nonce = self._nonce(flow, now)
        realm = self._settings.realm
        order = self._settings.digest_order if flow.transport.websocket else self._settings.phone_digest_order
        return Headers((name, challenge(realm, nonce, one, stale)) for one in order)

    def _nonce(self, flow: Flow, now: float) -> str:
        head = b"\x01" + int(now).to_bytes(8, "big") + self._ids.octets(8)
        return base64.urlsafe_b64encode(head + self._seal(head, flow, now)).decode().rstrip("=")

    def _seal(self, head: bytes, flow: Flow, now: float) -> bytes:
        # AUTH-3: keys rotate daily; the day of issue is in the nonce, so the last two are always at hand.
        key = hmac.new(self._secret, b"nonce" + int(now // DAY).to_bytes(8, "big"), hashlib.sha256).digest()
        text = head + self._settings.realm.encode() + b"\0" + flow.id.encode()
        return hmac.new(key, text, hashlib.sha256).digest()[:16]

    def _nonce_age(self, nonce: str, flow: Flow, now: float) -> float | None:
        """Seconds since we made the nonce for this flow; None if we did not."""
        try:
            raw = base64.urlsafe_b64decode(nonce + "=" * (-len(nonce) % 4))
        except ValueError:
            return None
        if len(raw) != 33 or raw[0] != 1:
            return None
        issued = float(int.from_bytes(raw[1:9], "big"))
        if issued > now or now - issued > 2 * DAY:
            return None
        return now - issued if hmac.compare_digest(raw[17:], self._seal(raw[:17], flow, issued)) else None

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
        if self._locked(flow, credentials.username, now):
            return Challenged(self.challenge(flow, now, proxy), "login-locked")
        right = self._right(credentials, request, account)
        age = self._nonce_age(credentials.nonce, flow, now)
        if not right or account is None:
            # A nonce of another flow says nothing about the password; only a wrong answer to ours counts.
            if age is not None:
                self._failed(flow, credentials.username, now)
            return Challenged(self.challenge(flow, now, proxy), "credentials-wrong")
        if age is None or age > self._settings.nonce_life or not self._count(credentials, flow):
            return Challenged(self.challenge(flow, now, proxy, stale=True), "stale-nonce")
        self._failures.pop((flow.remote[0], credentials.username), None)
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

    def _count(self, credentials: Credentials, flow: Flow) -> bool:
        """AUTH-4: is this nc new? State appears only here, after a right answer."""
        key = f"{flow.id} {credentials.nonce}"
        known = self._counts.get(key)
        number = 1
        if credentials.qop:
            try:
                number = int(credentials.nc, 16)
            except ValueError:
                return False
        if known is None:
            if credentials.qop and number != 1:
                return False
            known = self._counts[key] = _Counted()
            if len(self._counts) > self._settings.nc_lru:
                self._counts.popitem(last=False)
        if number in known.seen or number <= known.highest - NC_WINDOW:
            return False
        known.highest = max(known.highest, number)
        known.seen = {one for one in known.seen if one > known.highest - NC_WINDOW} | {number}
        self._counts.move_to_end(key)
        return True

    # ---- budgets (AUTH-8)

    def _locked(self, flow: Flow, username: str, now: float) -> bool:
        pairs = (
            ((flow.remote[0], username), self._settings.fails_per_user_source),
            ((flow.remote[0], ""), self._settings.fails_per_source),
        )
        for key, limit in pairs:
            times = self._failures.get(key)
            while times and times[0] < now - FAIL_WINDOW:
                times.popleft()
            if times and len(times) >= limit:
                return True
        return False

    def _failed(self, flow: Flow, username: str, now: float) -> None:
        for key in ((flow.remote[0], username), (flow.remote[0], "")):
            times = self._failures.setdefault(key, deque(maxlen=self._settings.fails_per_source))
            times.append(now)
            self._failures.move_to_end(key)
        while len(self._failures) > self._settings.sources:
            self._failures.popitem(last=False)

    # ---- trusted flows (AUTH-9)

    def trust(self, flow: Flow, account: Account, now: float) -> None:
        """After a proof: a secure or loopback connection is believed from now on. UDP never is: it can be forged."""
        if flow.transport.reliable and (flow.secure or flow.loopback):
            until = now + self._settings.trust_for
            self._trusted[flow.id] = _Trust(account.id, account.username, account.credential_version, until)

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
