"""Who is it? Challenges, digest, tokens, trusted flows (AUTH-1 to AUTH-12).

Lives here: the one authenticator that registrar and call control share. Never here: where accounts are kept, and how a
token's signature is checked (`TokenReader`). Nothing is stored for a stranger but a count of wrong answers, and that in a
bounded table.
"""

import hmac
from collections import OrderedDict, deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from offhook.record import record
from offhook.sip import ephemeral, tokens
from offhook.sip.attempts import Attempts, source_of
from offhook.sip.digest import Credentials, challenge, ha1, parse_credentials, proves
from offhook.sip.domains import Domains, parted, qualified
from offhook.sip.effects import Note
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr, quote, warning
from offhook.sip.flow import Flow, FlowId
from offhook.sip.ids import Ids
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request
from offhook.sip.nonces import Nonces
from offhook.sip.secret import Secret
from offhook.sip.tokens import Claims, Fault, TokenReader
from offhook.sip.trust import Trust, TrustedFlows
from offhook.sip.uri import equivalent, parse_uri


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """The credential rows of the limits table."""

    realm: str
    hosts: AbstractSet[str]
    """Lower-case hosts that a digest URI may name (AUTH-6)."""
    domains: Domains = field(default_factory=Domains)
    """Domains with a realm of their own; `realm` is that of the canonical one."""
    digest_order: tuple[str, ...] = ("MD5",)
    """Challenges offered, in this order. Any second one breaks a client that people use: JsSIP reads the last, SIP.js the
    first, baresip gives up when one is not MD5 (docs/decisions/0007). Answers by either algorithm are verified."""
    digest_uri: str = "host"
    """AUTH-6: what the digest URI must be: `host`, a URI of a host of ours; `exact`, the Request-URI; `off`, anything."""
    authz_server: str = ""
    """URL of the authorization server, for a Bearer challenge behind the others; none is sent without it (RFC 8898)."""
    ephemeral_hash: str = "sha256"
    """`sha256` or `sha1`: the HMAC that makes the passwords of AUTH-11."""
    nonce_life: float = 600.0
    """`NONCE_LIFE`."""
    nc_lru: int = 100_000
    """`NC_LRU`: nonces whose counts are remembered after a right answer, for `nonce_life` from their last use; one that is
    forgotten before costs its client a round trip."""
    fails_per_user_source: int = 10
    """`FAILS_PER_USER_SOURCE`: typing errors stay below."""
    fails_per_source: int = 60
    """`FAILS_PER_SOURCE`: an office behind one address."""
    fails_per_user: int = 100
    """Wrong answers for one user from everywhere in ten minutes that raise an alarm; they never lock the user (AUTH-8)."""
    sources: int = 50_000
    """Pairs of source and user whose failures are counted; the longest unheard is forgotten first."""
    trust_for: float = 43_200.0
    """Seconds for which a secure or loopback flow is trusted once it proved an endpoint (AUTH-9)."""
    trusted_flows: int = 100_000
    """`FLOWS`; the longest trusted is forgotten first and must prove itself again."""
    trusted_per_flow: int = 50
    """Endpoints that one flow may have proved at a time: lines of a PBX behind one connection."""
    epoch: float = 0.0
    """Wall clock minus the core's monotonic clock: no nonce of before a reboot is good after it."""


@record
class Verified:
    """The request proves the account. `ends` is when the credential itself ends, on the core's clock; None if never. How it
    was proved is told and decides nothing: `digest-md5`, `digest-sha-256`, `bearer`."""

    account: Account
    ends: float | None = None
    how: str = field(default="", compare=False)


@record
class Challenged:
    """It does not: answer 401 or 407 with these fields. `reason` is for the log only, never for the peer (AUTH-7), unless
    `fault` says that a token was genuine but not good here; its `status` is 403 where another try is of no use."""

    headers: Headers
    reason: str = "no-credentials"
    fault: Fault | None = None


Verdict = Verified | Challenged

BEARER = "bearer"
"""How a token proves."""
NOBODY = ""
"""The user name claimed by a token that is not genuine: its look-up finds nothing, and the answer says why."""


class Authenticator:
    """`secret` keys nonces (and is shared by all nodes). Times are the core's monotonic seconds. `reader` checks tokens;
    without one none is accepted."""

    def __init__(self, settings: AuthSettings, secret: bytes, ids: Ids, reader: TokenReader | None = None) -> None:
        self._settings = settings
        self._secret = secret
        self._reader = reader
        self.domains = settings.domains
        """Those beside the canonical one."""
        self._nonces = Nonces(settings.realm, secret, ids, settings.epoch, settings.nc_lru, settings.nonce_life)
        budgets = (settings.fails_per_user_source, settings.fails_per_source, settings.sources)
        self._attempts = Attempts(*budgets)
        # A nonce that is not ours may come with a forged source address: such guesses lock nobody out, but they are
        # counted by themselves, for `stale=true` would tell a guesser that the password was right.
        self._foreign = Attempts(*budgets)
        # The alarm of AUTH-8: users by themselves, for the log alone.
        self._users = Attempts(settings.fails_per_user, settings.fails_per_user, settings.sources)
        self._flows = TrustedFlows(settings.trust_for, settings.trusted_flows, settings.trusted_per_flow)
        self._kept_away: OrderedDict[FlowId, str] = OrderedDict()
        self._ephemeral_key = self.key("ephemeral-password")
        self.notes: deque[Note] = deque(maxlen=100)
        """What an operator should know; whoever performs effects takes it from here."""

    def key(self, purpose: str) -> bytes:
        """A key of its own for each purpose, from the space's secret; 32 octets."""
        return derived_key(self._secret, purpose)

    # ---- in which domain

    def domain_of(self, request: Request) -> str:
        """The domain whose endpoint a request is from: by To of a REGISTER, by From of all else; by the Request-URI where
        those name no host of ours."""
        if not self.domains:
            return ""
        try:
            uri = parse_name_addr(request.headers.get("To" if request.method == "REGISTER" else "From") or "").uri
        except PeerError:
            uri = request.uri
        return self.domains.of(uri.host if uri.host in self._settings.hosts else request.uri.host)

    def realm_of(self, domain: str) -> str:
        """The realm in which the endpoints of a domain prove themselves."""
        own = self.domains.realm(domain) if domain else None
        return own if own is not None else self._settings.realm

    # ---- challenges

    def challenge(self, request: Request, flow: Flow, now: float, proxy: bool = False, stale: bool = False) -> Headers:
        """The challenge fields for 401, or for 407 with `proxy`; one nonce for all algorithms (AUTH-1)."""
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        nonce = self._nonces.issue(flow, now)
        settings, realm = self._settings, self.realm_of(self.domain_of(request))
        fields = [(name, challenge(realm, nonce, one, stale)) for one in settings.digest_order]
        if settings.authz_server and self._reader is not None and (flow.secure or flow.loopback):
            fields.append((name, f"Bearer realm={quote(realm)}, authz_server={quote(settings.authz_server)}"))
        return Headers(fields)

    # ---- who does it claim to be

    def claimed(self, request: Request, flow: Flow, proxy: bool = False) -> str | None:
        """The endpoint that the request's credentials name: the user of a digest for our realm, or of a genuine token;
        `NOBODY` for a token that is not genuine, None without credentials."""
        token = tokens.bearer(request, flow)
        if token is not None and self._reader is not None:
            claims = self.read(token)
            return claims.subject if claims is not None else NOBODY
        return self.username(request, proxy)

    def username(self, request: Request, proxy: bool = False) -> str | None:
        """The endpoint that digest credentials for the realm of the request's domain name; None without such."""
        domain = self.domain_of(request)
        found = self._find(request, proxy, domain)
        if found is None:
            return None
        short = ephemeral.read(found.username)
        return qualified(short.endpoint if short is not None else found.username, domain)

    def _find(self, request: Request, proxy: bool, domain: str) -> Credentials | None:
        for value in request.headers.all("Proxy-Authorization" if proxy else "Authorization"):
            credentials = parse_credentials(value)
            if credentials is not None and credentials.realm == self.realm_of(domain):
                return credentials
        return None

    def read(self, token: str) -> Claims | None:
        """A token's claims; whom it is for is named in the domain whose realm it is for."""
        claims = self._reader.read(token[: tokens.LONGEST]) if self._reader is not None else None
        if claims is None or "@" in claims.subject or self._settings.realm in claims.audience:
            return claims
        return replace(claims, subject=qualified(claims.subject, self.domains.of_realm(claims.audience)))

    def _judge(self, claims: Claims, flow: Flow, now: float, method: str = "") -> Fault | None:
        realm = self.realm_of(parted(claims.subject)[1])
        return tokens.judge(claims, realm, flow, self._unix(now), method)

    # ---- verification

    def verify(
        self,
        request: Request,
        flow: Flow,
        account: Account | None,
        now: float,
        proxy: bool = False,
        in_dialog: bool = False,
    ) -> Verdict:
        """`account` is the one of `claimed(request)`, None if there is none; the work is the same either way.

        `in_dialog`: a credential that has ended meanwhile still speaks for its call (AUTH-12)."""
        token = tokens.bearer(request, flow)
        if token is not None and self._reader is not None:
            return self._by_token(self.read(token), request, flow, account, now, proxy, in_dialog)
        return self._by_digest(request, flow, account, now, proxy, in_dialog)

    def presented(self, token: str, flow: Flow, now: float) -> Claims | Fault:
        """A token that came with the upgrade of a WebSocket, judged like one in a request."""
        claims = self.read(token)
        if claims is None:
            return tokens.WRONG_KEY
        return self._judge(claims, flow, now) or claims

    def _unix(self, now: float) -> float:
        return now + self._settings.epoch

    # ---- tokens (AUTH-10)

    def _by_token(
        self,
        claims: Claims | None,
        request: Request,
        flow: Flow,
        account: Account | None,
        now: float,
        proxy: bool,
        in_dialog: bool,
    ) -> Verdict:
        fault = tokens.WRONG_KEY
        if claims is not None:
            judged = self._judge(claims, flow, now, request.method)
            if judged is None or (in_dialog and judged.slug == "token-expired"):
                known = account is not None and account.username == claims.subject
                wrong = tokens.fits(claims, account) if known and account is not None else None
                if known and account is not None and wrong is None:
                    return Verified(account, claims.expires_at + tokens.SKEW - self._settings.epoch, BEARER)
                judged = wrong or Fault(
                    "credentials-wrong", f"No endpoint of this server is called {claims.subject}", 403
                )
            fault = judged
        self.notes.append(Note(fault.slug, {"source": flow.remote[0], "text": fault.text}))
        headers = self.challenge(request, flow, now, proxy)
        words = warning(self._settings.realm, fault.slug, fault.text)
        return Challenged(Headers([*headers, ("Warning", words)]), fault.slug, fault)

    # ---- digest

    def _by_digest(
        self, request: Request, flow: Flow, account: Account | None, now: float, proxy: bool, in_dialog: bool
    ) -> Verdict:
        domain = self.domain_of(request)
        credentials = self._find(request, proxy, domain)
        if credentials is None:
            return Challenged(self.challenge(request, flow, now, proxy))
        short = ephemeral.read(credentials.username)
        user = qualified(short.endpoint if short is not None else credentials.username, domain)
        source = source_of(flow.remote[0])
        age = self._nonces.age(credentials.nonce, flow, now)
        attempts = self._foreign if age is None else self._attempts
        if attempts.locked(source, user, now) or self._attempts.locked(source, user, now):
            return Challenged(self.challenge(request, flow, now, proxy), "login-locked")
        right = self._right(credentials, request, account, user)
        if not right or account is None:
            self._failed(attempts, source, user, now)
            return Challenged(self.challenge(request, flow, now, proxy), "credentials-wrong")
        attempts.succeeded(source, user)
        if short is not None and short.expires_at <= self._unix(now) and not in_dialog:
            return self._ended(short.expires_at, request, flow, now, proxy)
        # AUTH-5: too old, of another flow, or used before.
        fresh = age is not None and age <= self._settings.nonce_life
        if not fresh or not self._nonces.count(credentials.nonce, credentials.nc, credentials.qop, now):
            return Challenged(self.challenge(request, flow, now, proxy, stale=True), "stale-nonce")
        ends = short.expires_at - self._settings.epoch if short is not None else None
        return Verified(account, ends, f"digest-{credentials.algorithm.lower()}")

    def _ended(self, expires_at: int, request: Request, flow: Flow, now: float, proxy: bool) -> Challenged:
        """AUTH-12: the password was right, its time is over; whoever knows it may know that too."""
        text = f"The password ended {round(self._unix(now) - expires_at)} seconds ago"
        words = ("Warning", warning(self._settings.realm, "token-expired", text))
        headers = Headers([*self.challenge(request, flow, now, proxy), words])
        return Challenged(headers, "token-expired", Fault("token-expired", text))

    def _failed(self, attempts: Attempts, source: str, user: str, now: float) -> None:
        locked = attempts.failed(source, user, now)
        if attempts is self._attempts:
            # With a nonce of ours the source is not made up, so that its budget bounds these lines.
            self.notes.append(Note("credentials-wrong", {"source": source, "user": user}))
        if locked:
            self.notes.append(Note("login-locked", {"source": source, "user": user, "locked": locked}))
        if self._users.struck(user, now):
            self.notes.append(Note("login-attacked", {"user": user, "source": source}))

    def _right(self, credentials: Credentials, request: Request, account: Account | None, user: str) -> bool:
        if credentials.algorithm not in ("MD5", "SHA-256") or credentials.qop not in ("", "auth"):
            return False
        secret = self._secret_of(credentials, account, user)
        return proves(credentials, secret, request.method, request.body) and self._names_us(credentials.uri, request)

    def _secret_of(self, credentials: Credentials, account: Account | None, user: str) -> Secret:
        """AUTH-7: an unknown user costs the same hashes, over a decoy that no password fits."""
        name = b"decoy" + credentials.username.encode("utf-8", "replace")
        decoy = Secret(hmac.digest(self._secret, name, "sha256").hex())
        known = account is not None and account.username == user
        if ephemeral.read(credentials.username) is not None:
            made = self.ephemeral_password(credentials.username, parted(user)[1])
            own = ha1(credentials.algorithm, credentials.username, credentials.realm, made.reveal())
            return own if known else decoy
        if account is None or not known or account.tier != tokens.MEMBER:
            # Whom only a name describes has no password of his own.
            return decoy
        return account.ha1_md5 if credentials.algorithm == "MD5" else account.ha1_sha256

    def _names_us(self, text: str, request: Request) -> bool:
        if self._settings.digest_uri == "off":
            return True
        try:
            uri = parse_uri(text)
        except PeerError:
            return False
        if self._settings.digest_uri == "exact":
            return equivalent(uri, request.uri)
        # A number that is dialled as tel: and a URI of elsewhere name no host of ours (RFC 3261 section 22.4).
        return uri.host in self._settings.hosts or equivalent(uri, request.uri)

    def ephemeral_password(self, username: str, domain: str = "") -> Secret:
        """The password of an `EXPIRY:ENDPOINT` user name (AUTH-11); no domain's is good in another."""
        key = self.key(f"ephemeral-password {domain}") if domain else self._ephemeral_key
        return ephemeral.password(key, username, self._settings.ephemeral_hash)

    # ---- devices that are kept away

    def keep_away(self, flow: FlowId, instance: str) -> None:
        """A blocked device speaks by this flow: its calls, which seldom name the device, are known by it."""
        self._kept_away[flow] = instance
        self._kept_away.move_to_end(flow)
        if len(self._kept_away) > self._settings.trusted_flows:
            self._kept_away.popitem(last=False)

    def blocked(self, flow: FlowId, account: Account) -> bool:
        """True while the device that was last refused on the flow is blocked."""
        return account.blocks(self._kept_away.get(flow))

    # ---- trusted flows (AUTH-9)

    def trust(self, flow: Flow, account: Account, now: float, ends: float | None = None, how: str = "") -> None:
        """After a proof: a secure or loopback connection is believed from now on, no longer than its credential lives."""
        if account.enabled:
            self._flows.trust(flow, account, now, ends, how)

    def trusted(self, flow: FlowId, now: float) -> str | None:
        """The user name that a flow has proved last, None if it has not or too long ago."""
        return self._flows.latest(flow, now)

    def speaker(self, request: Request, flow: Flow, now: float, proxy: bool = False) -> str | None:
        """Who a request is from, as far as can be told without a look-up: the endpoint of its From that the flow has
        proved, else whom its credentials name, else whom the flow has proved last."""
        latest = self._flows.latest(flow.id, now)
        if latest is None:
            return self.claimed(request, flow, proxy)
        named = self.named(request, "From")
        if named is not None and self._flows.of(flow.id, named, now) is not None:
            return named
        return self.claimed(request, flow, proxy) or latest

    def trusts(self, flow: FlowId, username: str, now: float) -> bool:
        """True while the flow has proved that endpoint, whatever became of it since."""
        return self._flows.of(flow, username, now) is not None

    def trust_of(self, flow: FlowId, username: str, now: float) -> Trust | None:
        """The proof itself, None without a live one."""
        return self._flows.of(flow, username, now)

    def recalls(self, flow: FlowId) -> bool:
        """True if a REGISTER on the flow may be a repeated one (refresh.py)."""
        return self._flows.recalls(flow)

    def recalled(self, flow: FlowId, digest: bytes, now: float) -> Trust | None:
        """The live proof of the account whose last REGISTER on the flow had this hash."""
        return self._flows.recalled(flow, digest, now)

    def named(self, request: Request, name: str) -> str | None:
        """Whom From or To names, if it is an address at a host of ours."""
        try:
            uri = parse_name_addr(request.headers.get(name) or "").uri
        except PeerError:
            return None
        return self.domains.name(uri) if uri.host in self._settings.hosts else None

    def proven(self, flow: FlowId, account: Account | None, now: float) -> Verified | None:
        """What an earlier proof on this flow still says of the account; None when it must prove itself."""
        if account is None or not account.enabled:
            return None
        found = self._flows.of(flow, account.username, now)
        if found is None or (found.account_id, found.version) != (account.id, account.credential_version):
            return None
        return Verified(account, found.ends, found.how)

    def still_trusts(self, flow: FlowId, account: Account | None, now: float) -> bool:
        """True while the proof stands: same account, same credentials, not disabled."""
        return self.proven(flow, account, now) is not None

    def forget_flow(self, flow: FlowId) -> None:
        """The flow is gone."""
        self._kept_away.pop(flow, None)
        self._flows.forget_flow(flow)

    def forget_account(self, username: str) -> None:
        """The account's credentials changed or are gone: its flows must prove themselves again."""
        self._flows.forget_account(username)


def derived_key(secret: bytes, purpose: str) -> bytes:
    """A key of 32 octets for one purpose; none of them tells anything of another or of the secret."""
    return hmac.digest(secret, b"key " + purpose.encode(), "sha256")
