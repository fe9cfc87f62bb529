"""A dialled number or foreign URI becomes trunks to try (TRK-5, 7, 9, 13) or a refusal that says what would allow it.

Lives here: which trunks may carry a call, and in which order; the words of the INVITE for one of them. Never here: trying
them (hunt.py).
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial

from offhook.calls import bridge, caller_id, hunt, numbers, passing
from offhook.calls.call import Call, Effects
from offhook.calls.caller_id import Caller, CallerNumbers, Shown
from offhook.calls.caps import Hourly
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.entry import ForwardsTo, Permits
from offhook.calls.fork import Fork, Invitation, hops_of
from offhook.calls.history import diversion, history_info
from offhook.calls.hunt import Hunt, Written
from offhook.calls.leg import Leg
from offhook.calls.numbers import NumberPlan
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.routing import Destination
from offhook.calls.trunk import Trunk, foreign_trunk, gateway_trunk
from offhook.calls.trunks import Trunks
from offhook.sip.domains import Domains, aor_of
from offhook.sip.fields import quote
from offhook.sip.ids import Ids
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request
from offhook.sip.rate import ENDPOINTS, Rates
from offhook.sip.secret import Secret
from offhook.sip.uri import Uri

API = Account("api", "", "", Secret(""), Secret(""))
"""The rights of calls that the API or a document places: every number of the space may be shown, and their own rates count
(`limits.dial_per_second`)."""
LOCATION = ("Geolocation", "Geolocation-Routing", "P-Access-Network-Info")
"""What tells where an emergency caller is; it crosses whatever else does (TRK-9, RFC 6442)."""


@dataclass(frozen=True, slots=True)
class OutboundSettings:
    """What calls to the outside are held to. Rates per endpoint and second; times in seconds.

    `day_ends` is the next midnight UTC on the core's clock, None while unknown.
    """

    country: str = "US"
    emergency: tuple[str, ...] = ()
    enabled: bool = True
    external_sip: str = "all"
    strict_caller_id: bool = False
    tries: int = 4
    ring_seconds: float = 90.0
    rate: float = 2.0
    burst: float = 10.0
    foreign_rate: float = 1.0
    day_ends: float | None = None


class Outbound:
    """Owned by the switchboard: the way out of the space."""

    def __init__(
        self,
        settings: OutboundSettings,
        hosts: AbstractSet[str],
        plan: NumberPlan,
        trunks: Trunks,
        ids: Ids,
        domains: Domains | None = None,
    ) -> None:
        self.settings = settings
        self._domains = domains if domains is not None else Domains()
        self.plan = plan
        self.trunks = trunks
        self._hosts = hosts
        self._ids = ids
        self._rates = Rates(settings.rate, settings.burst, ENDPOINTS)
        self._hourly = Hourly(ENDPOINTS)
        self._foreign = Rates(settings.foreign_rate, max(1.0, settings.foreign_rate), ENDPOINTS)

    # ---- what was dialled

    def number(self, uri: Uri) -> str | None:
        """The number that a URI of ours names, as E.164 or a short code; None for a name or a foreign URI."""
        if self.is_foreign(uri):
            return None
        text = numbers.dialled_in(uri)
        if not numbers.looks_dialled(text):
            return None
        country = self.country(self._domains.of(uri.host))
        if self.is_emergency(text, country):
            return text
        return numbers.normal(text, country, self.plan)

    def country(self, domain: str) -> str:
        """By whose rules numbers are read that are dialled at a domain."""
        return self._domains.country(domain) or self.settings.country

    def is_foreign(self, uri: Uri) -> bool:
        """True for a SIP URI with another host than ours."""
        return uri.scheme in ("sip", "sips") and uri.host not in self._hosts

    def is_emergency(self, number: str, country: str = "") -> bool:
        """TRK-9; `country` where it is not the server's."""
        return numbers.is_emergency(number, country or self.settings.country, self.plan, self.settings.emergency)

    @property
    def carries_emergencies(self) -> bool:
        """True while a trunk is marked for emergency calls."""
        return any(state.trunk.enabled and state.trunk.emergency for state in self.trunks)

    # ---- the way

    def seek(
        self, call: Call, one: Fork, uri: Uri, known: CallerNumbers | None, permits: Permits | None, now: float
    ) -> Effects | Outcome:
        """Begins to try trunks for the fork, or says why none may be tried."""
        permits = permits or Permits()
        if one.replaces is not None:
            return self._take_over(call, one, uri, permits, known, now)
        if self.is_foreign(uri):
            return self._foreign_call(call, one, uri, permits, now)
        text = numbers.dialled_in(uri)
        number = self.number(uri)
        if number is None:
            country = self.country(self._domains.of(uri.host))
            return refusal("number_format_invalid", f"{text} is no number here (country {country})")
        if self.is_emergency(number, self.country(self._domains.of(uri.host))):
            return self._begin(call, one, number, self._emergency_trunks(), known, now)
        wrong = self._forbidden(one, number, permits, now)
        if wrong is not None:
            return wrong
        trunks = self._trunks_for(number, permits)
        if not isinstance(trunks, Outcome):
            trunks = self._too_many(one, now) or trunks
        return self._begin(call, one, number, trunks, known, now)

    def trunk_at(self, uri: Uri) -> Trunk | None:
        """The trunk with a target at the host of a URI; only such targets are left of it."""
        if not self.is_foreign(uri):
            return None
        for state in self.trunks:
            there = tuple(one for one in state.trunk.targets if one.enabled and one.uri.host == uri.host)
            if state.trunk.enabled and there:
                return replace(state.trunk, targets=there)
        return None

    def _take_over(
        self, call: Call, one: Fork, uri: Uri, permits: Permits, known: CallerNumbers | None, now: float
    ) -> Effects | Outcome:
        """XFER-5: an INVITE with Replaces, to the trunk whose host the URI names. Who may not call a number may not reach it
        so either; what is no number is the carrier's own name of a call."""
        trunk = self.trunk_at(uri)
        if trunk is None or (permits.trunks is not None and trunk.id not in permits.trunks):
            return Outcome(481, CATALOGUE["replaces_refused"], f"No trunk of the space is at {uri.host}")
        text = uri.unescaped_user
        number = self._normal(text) if numbers.looks_dialled(text) else None
        wrong = self._forbidden(one, text, permits, now)
        if wrong is None and number is not None:
            wrong = _not_carried(number, trunk)
        if wrong is not None:
            return wrong
        exactly = Uri("sip", uri.user, uri.host, uri.port, None, uri.params)
        return self._begin(call, one, number or text, self._too_many(one, now) or [trunk], known, now, exactly)

    def judge(self, uri: Uri, permits: Permits) -> Outcome | None:
        """Why a call of the API cannot go out, as far as it is known without a packet; None where a way can be tried."""
        if self.is_foreign(uri):
            closed = "none" in (self.settings.external_sip, permits.external_sip)
            text = f"{uri.host} is not ours, and external_sip is none"
            return refusal("external_sip_not_allowed", text) if closed else None
        number = self.number(uri)
        if number is None:
            return refusal("number_format_invalid", f"{numbers.dialled_in(uri)} is no number here")
        if self.is_emergency(number):
            trunks = self._emergency_trunks()
        elif self._switched_off(permits):
            return refusal("pstn_blocked", "Calls to numbers are switched off (pstn_enabled of the SIP profile)")
        else:
            trunks = self._trunks_for(number, permits)
        return trunks if isinstance(trunks, Outcome) else None

    def normal(self, text: str) -> str | None:
        """A number as it is kept here, None for what is none."""
        return self._normal(text)

    def to_gateway(
        self, call: Call, one: Fork, way: ForwardsTo, known: CallerNumbers | None, permits: Permits | None, now: float
    ) -> Effects | Outcome:
        """By a SIP gateway (API.md 6.1): its URI as it stands, or its user part by the targets of a trunk."""
        if not way.trunk_id:
            return self._begin(call, one, str(way.uri.unescaped_user or way.uri.host), [gateway_trunk(way)], None, now)
        if self._switched_off(permits or Permits()):
            return refusal("pstn_blocked", f"Gateway {way.name} goes by a trunk, and calls to trunks are switched off")
        state = self.trunks.get(way.trunk_id)
        if state is None or not state.trunk.enabled:
            return refusal("not_routable", f"The trunk of gateway {way.name} is gone or switched off")
        return self._begin(call, one, way.uri.unescaped_user, [state.trunk], known, now)

    def by_trunk(
        self, call: Call, one: Fork, number: str, trunk_id: str, known: CallerNumbers, permits: Permits, now: float
    ) -> Effects | Outcome:
        """By this trunk and no other, if it may carry the number."""
        if self._switched_off(permits):
            return refusal("pstn_blocked", "Calls to numbers are switched off (pstn_enabled of the SIP profile)")
        state = self.trunks.get(trunk_id)
        if state is None or not state.trunk.enabled:
            return refusal("not_routable", "The trunk is switched off")
        trunks = _not_carried(number, state.trunk) or self._too_many(one, now) or [state.trunk]
        return self._begin(call, one, number, trunks, known, now)

    def _too_many(self, one: Fork, now: float) -> Outcome | None:
        """The endpoint's own hour, counted only for what would go out."""
        most = one.rights.max_calls_per_hour if one.rights is not None else None
        if one.rights is None or most is None or self._hourly.allow(one.rights.id, most, now):
            return None
        text = f"{one.rights.username} has placed {most} calls to trunks in an hour, as many as it may (max_calls_per_hour)"
        return refusal("endpoint_rate_exceeded", text)

    def _switched_off(self, permits: Permits) -> bool:
        return not (self.settings.enabled and permits.pstn_enabled)

    def _forbidden(self, one: Fork, number: str, permits: Permits, now: float) -> Outcome | None:
        if self._switched_off(permits):
            return refusal("pstn_blocked", "Calls to numbers are switched off (pstn_enabled of the SIP profile)")
        if one.rights is None:
            return refusal("not_routable", f"{number} would go out again, and nobody here answers for that")
        if not permits.numbers:
            return refusal("pstn_blocked", f"{one.rights.username} may not call numbers (block-pstn)")
        if one.rights is not API and not self._rates.allow(one.rights.id, now):
            return refusal("calls_per_second_exceeded", f"More than {self.settings.rate:g} calls to trunks per second")
        return None

    def _trunks_for(self, number: str, permits: Permits) -> list[Trunk] | Outcome:
        """Longest allowed prefix, then priority, then the least loaded by weight; those that are down come last."""
        fitting: list[tuple[tuple[bool, int, int, float, float], Trunk]] = []
        blocked = ""
        for state in self.trunks:
            trunk = state.trunk
            if permits.trunks is not None and trunk.id not in permits.trunks:
                continue
            length, barred = numbers.allowance(number, trunk)
            if barred:
                blocked = blocked or trunk.name
            if not trunk.enabled or not length:
                continue
            luck = self._ids.uniform(0, 1) / max(trunk.weight, 0.01)
            rank = (state.state == "down", -length, trunk.priority, state.usage.load(trunk.weight), luck)
            fitting.append((rank, trunk))
        if fitting:
            return [trunk for _, trunk in sorted(fitting, key=lambda pair: pair[0])]
        if blocked:
            return refusal("prefix_not_allowed", f"{number} begins with a prefix that trunk {blocked} blocks")
        return refusal("not_routable", f"No enabled trunk has a prefix of {number} in its allowed_prefixes")

    def _emergency_trunks(self) -> list[Trunk] | Outcome:
        marked = [one for one in self.trunks if one.trunk.enabled and one.trunk.emergency]
        if not marked:
            return refusal("emergency_not_configured")
        return [one.trunk for one in sorted(marked, key=lambda one: (one.state == "down", one.trunk.priority))]

    def _foreign_call(self, call: Call, one: Fork, uri: Uri, permits: Permits, now: float) -> Effects | Outcome:
        if one.rights is None or not self._may_call_foreign(call, one, permits):
            return refusal("external_sip_not_allowed", f"{uri.host} is not ours, and external_sip does not allow it")
        if one.rights is not API and not self._foreign.allow(one.rights.id, now):
            return refusal(
                "calls_per_second_exceeded", f"More than {self.settings.foreign_rate:g} foreign calls per second"
            )
        trunk = foreign_trunk(uri)
        if one.asked is not None and one.asked.credentials is not None:
            trunk = replace(trunk, credentials=one.asked.credentials)
        return self._begin(call, one, str(uri.unescaped_user or uri.host), [trunk], None, now)

    def _may_call_foreign(self, call: Call, one: Fork, permits: Permits) -> bool:
        """By the setting of the installation and by the project's profile; `api_only` is for calls that a command places."""
        allowed = {self.settings.external_sip, permits.external_sip}
        if "none" in allowed:
            return False
        return "api_only" not in allowed or call.by_command or one.rights is API

    def _begin(
        self,
        call: Call,
        one: Fork,
        number: str,
        trunks: list[Trunk] | Outcome,
        known: CallerNumbers | None,
        now: float,
        exactly: Uri | None = None,
    ) -> Effects | Outcome:
        if isinstance(trunks, Outcome):
            return trunks
        asked = self._asked(one)
        shown = known or CallerNumbers()
        if self.settings.strict_caller_id and asked is not None and not shown.may(asked):
            return refusal("caller_id_not_allowed", f"{asked} is neither a number of ours nor verified")
        emergency = self.is_emergency(number, self.country(call.domain))
        words = partial(self._written, call, one, number, shown, asked, emergency)
        # The endpoint that forwarded here is done: what this comes to is not for its forwardings again.
        one.callee = None
        if one.party is call.caller and call.callee is None:
            call.destination = Destination(number, False, None, call.destination.uri)
        one.invitation = Invitation("", number, hops_of(one.party))
        fresh = one.party.offer is None and one.party.request is not None
        if fresh:
            bridge.prepare_incoming(one.party)
        tries = self.settings.tries if not trunks[0].foreign else 2 * self.settings.tries
        seconds = one.asked.seconds if one.asked is not None and one.asked.seconds else self.settings.ring_seconds
        way = Hunt(number, list(trunks), words, self.trunks, hops_of(one.party), tries, seconds)
        way.exactly, way.replaces = exactly, one.replaces
        way.capped, way.opens_party, way.day_ends = not emergency, fresh, self.settings.day_ends
        return hunt.start(call, one, way, now)

    def trunk_for_texts(self, number: str, permits: Permits) -> Trunk | Outcome | None:
        """The first trunk that may carry the number and takes texts, or why the sender may not write to it."""
        trunks = self._trunks_for(number, permits)
        found = None if isinstance(trunks, Outcome) else next((one for one in trunks if one.accept_messages), None)
        if found is None:
            return None
        if self._switched_off(permits):
            return refusal("pstn_blocked", "Texts to numbers are switched off (pstn_enabled of the SIP profile)")
        return found if permits.numbers else refusal("pstn_blocked", "The sender may not write to numbers (block-pstn)")

    # ---- the words

    def write(
        self, sender: Account, request: Request, number: str, known: CallerNumbers | None, trunk: Trunk
    ) -> Written:
        """The words of a text to a number."""
        country = self.settings.country
        person = Caller(sender.caller_id or "", caller_id.withheld(request.headers))
        asked = caller_id.asked_number(request.headers, self._normal)

        def written(each: str) -> str:
            return numbers.for_trunk(each, trunk, country, self.plan)

        return Written(written(number), caller_id.show(trunk, person, known or CallerNumbers(), asked, written))

    def _asked(self, one: Fork) -> str | None:
        if one.asked is not None and one.asked.number:
            return one.asked.number
        if one.party.request is None or one.party.trunk is not None:
            return None
        return caller_id.asked_number(one.party.request.headers, self._normal)

    def _normal(self, text: str) -> str | None:
        return numbers.normal(text, self.settings.country, self.plan)

    def _written(
        self, call: Call, one: Fork, number: str, known: CallerNumbers, asked: str | None, emergency: bool, trunk: Trunk
    ) -> Written:
        country = self.settings.country
        text = numbers.for_trunk(number, trunk, country, self.plan)
        if trunk.foreign:
            sender = one.asked.from_ if one.asked is not None else foreign_from(one.party, call.config.domain)
            return Written(text, Shown(sender), one.extra if one.asked is not None else ())
        person = _person(one.party) if one.asked is None or not one.asked.number else Caller(one.asked.name)
        shown = caller_id.show(
            trunk, person, known, asked, lambda each: numbers.for_trunk(each, trunk, country, self.plan)
        )
        return Written(text, shown, tuple(self._fields(call, one, trunk, text, emergency)))

    def _fields(self, call: Call, one: Fork, trunk: Trunk, number: str, emergency: bool) -> list[tuple[str, str]]:
        """To trunks only what the trunk lists (CALL-20); forwardings in the form it asks for (RFC 7544)."""
        headers = one.party.request.headers if one.party.request is not None else Headers()
        own = ("diversion", "history-info")
        fields = [(name, value) for name, value in headers if trunk.passes(name) and name.lower() not in own]
        if emergency:
            fields += [(name, value) for name, value in headers if name in LOCATION and not trunk.passes(name)]
        if trunk.passes("Diversion"):
            fields += diversion(one.history)
        if trunk.passes("History-Info"):
            fields += history_info(one.history, f"sip:{number}@{trunk.targets[0].uri.host}")
        return fields


def _not_carried(number: str, trunk: Trunk) -> Outcome | None:
    """Why a trunk is not for a number."""
    length, barred = numbers.allowance(number, trunk)
    if barred:
        return refusal("prefix_not_allowed", f"{number} begins with a prefix that trunk {trunk.name} blocks")
    if not length:
        return refusal("not_routable", f"Trunk {trunk.name} has no prefix of {number} in allowed_prefixes")
    return None


def _person(party: Leg) -> Caller:
    hidden = passing.withheld(party)
    if party.trunk is not None:
        # Of a stranger nothing is believed, a number in his From least of all.
        believed = not party.trunk.foreign and numbers.is_e164(party.shown)
        return Caller("", hidden, party.shown if believed else None)
    account = party.account
    return Caller(account.caller_id or "" if account is not None else "", hidden)


def foreign_from(party: Leg, domain: str) -> str:
    """From towards a foreign URI: the caller's own address, no number and no asserted identity (TRK-13)."""
    if party.trunk is not None and not passing.withheld(party):
        # A carrier's call that goes on to a gateway: who calls is what the carrier said.
        return passing.identity(party, domain)
    if passing.withheld(party) or party.account is None:
        return passing.ANONYMOUS
    name = party.account.caller_id
    return f"{quote(name) + ' ' if name else ''}<{aor_of(party.account.username, domain)}>"
