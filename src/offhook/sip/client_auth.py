"""Digest as a client (RFC 3261 section 22, RFC 7616, RFC 8760): one path for every request of ours (TRK-3).

Lives here: which challenge is answered, with what, and when to give up. Never here: sending again, which is the business of
whoever owns the request (outgoing_invite.py, invite_usage.py, client_request.py).
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from offhook.sip.digest import HASHES, Credentials, ha1, response_of
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_auth, quote, split_list
from offhook.sip.ids import Ids
from offhook.sip.location import ClientCredentials
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import Uri

STRENGTH = ("SHA-512-256", "SHA-256", "MD5")
"""Algorithms we know, strongest first (RFC 8760 section 2.4)."""
ROUNDS = 6
"""Challenges that one request may meet: two proxies and a server, each stale once."""

_ANSWER_TO = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
CARRIERS = tuple(_ANSWER_TO.values())
"""The fields that credentials stand in."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One Digest challenge that we can answer. `carrier` is the field our credentials go in; `qop` "" means none."""

    carrier: str
    realm: str
    nonce: str
    algorithm: str
    algorithm_named: bool
    qop: str
    opaque: str | None
    stale: bool

    @property
    def place(self) -> Hashable:
        """What is asked once: one protection space (RFC 7616 section 3.3) in one role."""
        return self.carrier, self.realm


@dataclass(slots=True)
class _Session:
    """A challenge in use: `count` requests have carried its nonce."""

    challenge: Challenge
    cnonce: str
    count: int = 0


class ClientAuth:
    """What a peer has asked us to prove so far, within one dialog or registration."""

    def __init__(self, credentials: ClientCredentials, ids: Ids) -> None:
        self.credentials = credentials
        self._ids = ids
        self._sessions: dict[Hashable, _Session] = {}

    def fields(self, method: str, uri: Uri, body: bytes) -> list[tuple[str, str]]:
        """Credentials for every challenge that is known, nc one higher each time; empty before the first."""
        return [self._field(session, method, str(uri), body) for session in self._sessions.values()]

    def take(self, challenge: Challenge) -> None:
        """From now on requests carry an answer to this challenge."""
        self._sessions[challenge.place] = _Session(challenge, self._ids.token())

    def _field(self, session: _Session, method: str, uri: str, body: bytes) -> tuple[str, str]:
        challenge = session.challenge
        session.count += 1
        base = challenge.algorithm.partition("-SESS")[0]
        mine = self.credentials
        secret = ha1(base, mine.username, challenge.realm, mine.password.reveal())
        credentials = Credentials(
            username=mine.username,
            realm=challenge.realm,
            nonce=challenge.nonce,
            uri=uri,
            response="",
            algorithm=challenge.algorithm,
            qop=challenge.qop,
            nc=f"{session.count:08x}" if challenge.qop else "",
            cnonce=session.cnonce,
        )
        proof = response_of(credentials, secret, method, body)
        return challenge.carrier, _written(replace(credentials, response=proof), challenge)


@dataclass(slots=True)
class Attempt:
    """One request of ours with its repetitions, each with the next CSeq number, the same Call-ID and the same tag.

    `auth` None: there is nothing to prove ourselves with, and every challenge is final.
    """

    auth: ClientAuth | None
    _answered: set[Hashable] = field(default_factory=set)
    _rounds: int = 0

    def challenged(self, response: Response) -> bool:
        """True if the request is worth sending once more, now with credentials.

        A challenge that only says our nonce is stale is no failure; a second plain one for the same realm is.
        """
        if self.auth is None or response.status not in (401, 407) or self._rounds >= ROUNDS:
            return False
        self._rounds += 1
        usable = [one for one in challenges(response) if self.auth.credentials.realm in (None, one.realm)]
        if any(one.place in self._answered and not one.stale for one in usable):
            return False
        for one in usable:
            self.auth.take(one)
            self._answered.add(one.place)
        return bool(usable)


def challenges(response: Response) -> list[Challenge]:
    """For each realm and role the strongest challenge that we can answer; what cannot be read is passed over."""
    best: dict[Hashable, Challenge] = {}
    for name, carrier in _ANSWER_TO.items():
        for line in response.headers.all(name):
            for text in _single(line):
                one = _read(carrier, text)
                if one is not None and (one.place not in best or _rank(one) < _rank(best[one.place])):
                    best[one.place] = one
    return list(best.values())


def _rank(challenge: Challenge) -> int:
    return STRENGTH.index(challenge.algorithm.partition("-SESS")[0])


def _single(line: str) -> list[str]:
    """Challenges of one field: a piece that begins with a scheme begins another (RFC 9110 section 11.6.1 allows lists).
    none of it counts where quotes do not match."""
    texts: list[str] = []
    try:
        pieces = split_list(line)
    except PeerError:
        return texts
    for piece in pieces:
        scheme, space, rest = piece.strip().partition(" ")
        if texts and not (space and "=" not in scheme and rest.strip() and not rest.lstrip().startswith("=")):
            texts[-1] += f", {piece}"
        else:
            texts.append(piece)
    return texts


def _read(carrier: str, text: str) -> Challenge | None:
    try:
        scheme, params = parse_auth(text)
    except PeerError:
        return None
    algorithm = params.get("algorithm", "MD5").upper()
    qop = _qop(params.get("qop"))
    if scheme != "digest" or "realm" not in params or not params.get("nonce") or qop is None:
        return None
    if algorithm.partition("-SESS")[0] not in HASHES:
        return None
    return Challenge(
        carrier,
        params["realm"],
        params["nonce"],
        algorithm,
        "algorithm" in params,
        qop,
        params.get("opaque"),
        params.get("stale", "").lower() == "true",
    )


def _qop(offered: str | None) -> str | None:
    """`auth` where it is offered, `auth-int` where it is all there is, "" for a peer of RFC 2069; None: none we know."""
    if offered is None or not offered.strip():
        return ""
    values = [one.strip().lower() for one in offered.split(",")]
    return next((one for one in ("auth", "auth-int") if one in values), None)


def _written(credentials: Credentials, challenge: Challenge) -> str:
    parts = [
        f"username={quote(credentials.username)}",
        f"realm={quote(credentials.realm)}",
        f"nonce={quote(credentials.nonce)}",
        f"uri={quote(credentials.uri)}",
        f'response="{credentials.response}"',
    ]
    if challenge.algorithm_named:
        parts.append(f"algorithm={_spelled(challenge.algorithm)}")
    if challenge.qop:
        parts += [f"qop={challenge.qop}", f"nc={credentials.nc}"]
    if challenge.qop or challenge.algorithm.endswith("-SESS"):
        parts.append(f'cnonce="{credentials.cnonce}"')
    if challenge.opaque is not None:
        parts.append(f"opaque={quote(challenge.opaque)}")
    return f"Digest {', '.join(parts)}"


def _spelled(algorithm: str) -> str:
    return algorithm.replace("-SESS", "-sess")


def credentials_of(request: Request) -> Headers:
    """What ACK and CANCEL repeat of their INVITE (22.1)."""
    return Headers((name, value) for name, value in request.headers if name in CARRIERS)
