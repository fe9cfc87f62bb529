"""Browser tokens of four tiers (API.md 4.3), signed with the space's own key; spent refresh tokens are remembered."""

import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from offhook.api.token_ports import Holder, Pair, Wrong
from offhook.server.possession import Possession
from offhook.server.tokens import RENEWS
from offhook.sip import guests
from offhook.sip.domains import parted, qualified
from offhook.sip.guests import Guest
from offhook.sip.tokens import MEMBER, SKEW

if TYPE_CHECKING:
    from offhook.server.app import App

LONGER = 300
"""Seconds that a refresh token outlives its token."""


class ServerTokenOffice:
    """Implements api.token_ports.TokenOffice."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self._possession = Possession()

    def unix(self) -> int:
        return int(time.time())

    def guest(self, tier: str, addresses: tuple[str, ...], widget: str = "") -> str:
        guest = Guest(tier, addresses, widget)
        project = self._app.store.guests.project(guest)
        domain = self._app.store.domain_of(project) if project is not None else ""
        return qualified(guests.write(guest, secrets.token_hex(4)), domain)

    def issue(
        self, subject: str, tier: str, ends_at: int, origin: str = "", fingerprint: str = "", scope: str = ""
    ) -> Pair:
        tokens, seconds = self._app.tokens, ends_at - self.unix()
        more: dict[str, Any] = {"scope": scope} if scope else {}
        if fingerprint:
            more |= {"fingerprint": fingerprint, "cnf": {"jkt": fingerprint}}
        realm = self._app.store.realm_of(self._project(subject))
        token, _ = tokens.mint(subject, seconds, origin, tier, realm, **more)
        about = {"jti": str(uuid.uuid4()), "lives": seconds, **more}
        return Pair(token, tokens.mint_refresh(subject, seconds + LONGER, origin, tier, **about))

    async def renew(self, refresh_token: str) -> Pair | Wrong:
        found = self._app.tokens.read_refresh(refresh_token)
        answers = self._app.store.answers
        if found is None or answers.is_given_back(found["jti"]):
            return Wrong("not_a_refresh_token", "The refresh token is none of this server's, or was used before")
        if found["exp"] <= self.unix():
            return Wrong("token_expired", f"The refresh token ended {self.unix() - found['exp']} seconds ago")
        if self._project(found["sub"]) is None:
            return Wrong("not_a_refresh_token", "Whom the token was made for is gone")
        await answers.give_back(found["jti"], datetime.fromtimestamp(found["exp"], UTC))
        ends_at = self.unix() + found["lives"]
        kept = (found.get(name, "") for name in ("origin", "fingerprint", "scope"))
        return self.issue(found["sub"], found["tier"], ends_at, *kept)

    def unproven(self, proof: str, fingerprint: str, path: str, token: str | None) -> str:
        return self._possession.wrong(proof, fingerprint, path, token, self.unix())

    def renewable(self, holder: Holder, seconds: int) -> dict[str, Any]:
        ends_at = self.unix() + seconds
        made = self.issue(holder.subject, holder.tier, ends_at, "", holder.fingerprint, RENEWS)
        return {"token": made.token, "expires_at": ends_at, "expires_in": seconds}

    def holder(self, token: str, origin: str) -> Holder | Wrong:
        claims, now = self._app.authenticator.read(token), self.unix()
        if claims is None:
            return Wrong("token_wrong_key", "The token is not signed by a key of this server, or was altered")
        realm = self._app.authenticator.realm_of(parted(claims.subject)[1])
        if realm not in claims.audience or (claims.origin and claims.origin != origin):
            return Wrong("token_other_space", "The token is for another space, another use or pages of another origin")
        if claims.not_before > now + SKEW:
            return Wrong("token_early", "The token is not valid yet: the clocks of issuer and server differ")
        if claims.expires_at <= now - SKEW:
            return Wrong("token_expired", f"The token ended {round(now - claims.expires_at)} seconds ago")
        account, project = self._app.store.account(claims.subject), self._project(claims.subject)
        if account is None or project is None or not account.enabled or account.tier != claims.tier:
            return Wrong("credentials_wrong", "Whom the token was made for is gone or switched off")
        guest = guests.read(parted(claims.subject)[0]) if claims.tier != MEMBER else None
        addresses = guest.addresses if guest is not None else ()
        ends_at = int(claims.expires_at)
        return Holder(project, account.username, claims.tier, addresses, ends_at, claims.fingerprint)

    def _project(self, subject: str) -> str | None:
        endpoint, guest = self._app.store.endpoints.named(subject), guests.read(parted(subject)[0])
        if endpoint is not None:
            return endpoint.project_id
        return self._app.store.guests.project(guest) if guest is not None else None
