"""Numbers: what people dial, what we keep, what a trunk wants to see (TRK-7).

Inside Offhook a number is E.164 with +. Lives here: which rule applies when. Never here: the numbering plans of the world,
which come from a library that is handed in (`NumberPlan`).
"""

import re
from typing import Protocol

from offhook.calls.trunk import NumberRules, PrefixRule, Trunk
from offhook.sip.uri import Uri

EMERGENCY = ("911", "112", "933")
"""Emergency numbers of every space (933 is the North American test number); `numbers.emergency` adds to them."""

_SEPARATORS = re.compile(r"[\s().\-/]")
_DIALLED = re.compile(r"\+?[\d*#]{2,30}")
_E164 = re.compile(r"\+[1-9]\d{1,14}")


class NumberPlan(Protocol):
    """The numbering plans of the world. `country` is an ISO 3166 code or a calling code like `49`."""

    def e164(self, text: str, country: str) -> str | None:
        """A number dialled in that country as E.164 with +, None if it can be none."""
        ...

    def national(self, e164: str, country: str) -> str | None:
        """The significant national part, None when the number is of another country."""
        ...

    def is_short(self, text: str, country: str) -> bool:
        """True for a short code of that country, which has no E.164 form."""
        ...

    def is_emergency(self, text: str, country: str) -> bool:
        """True for an emergency number of that country."""
        ...


def plain(text: str) -> str:
    """Without visual separators (RFC 3966 section 5.1.1) and whatever follows a semicolon."""
    return _SEPARATORS.sub("", text.partition(";")[0])


def looks_dialled(text: str) -> bool:
    """True if a name of a destination can be meant as a number."""
    return _DIALLED.fullmatch(plain(text)) is not None


def is_e164(text: str) -> bool:
    """True for + and up to fifteen digits."""
    return _E164.fullmatch(text) is not None


def dialled_in(uri: Uri) -> str:
    """The number in a tel: or sip: URI; `phone-context` of a global number completes a local one (RFC 3966 5.1.5)."""
    text = plain(uri.unescaped_user)
    context = uri.params.get("phone-context") or ""
    return f"{plain(context)}{text}" if context.startswith("+") and not text.startswith("+") else text


def is_emergency(text: str, country: str, plan: NumberPlan, more: tuple[str, ...] = ()) -> bool:
    """TRK-9."""
    return text in EMERGENCY or text in more or plan.is_emergency(text, country)


def normal(text: str, country: str, plan: NumberPlan) -> str | None:
    """What was dialled as E.164; short codes stay as they are; None for what is no number."""
    text = plain(text)
    if plan.is_short(text, country):
        return text
    return plan.e164(text, country)


# ---- to a trunk and from it


def for_trunk(number: str, trunk: Trunk, country: str, plan: NumberPlan) -> str:
    """A number as this trunk wants it: its format first, then the longest of its rules. Short codes only get the rules."""
    rules = trunk.numbers
    text = number if not is_e164(number) else _formatted(number, rules, rules.country or country, plan)
    return _ruled(text, rules.outbound_rules)


def _formatted(number: str, rules: NumberRules, country: str, plan: NumberPlan) -> str:
    match rules.outbound_format:
        case "e164":
            return number[1:]
        case "international":
            return rules.international_prefix + number[1:]
        case "national":
            national = plan.national(number, country)
            return rules.international_prefix + number[1:] if national is None else rules.national_prefix + national
        case _:
            return number


def from_trunk(text: str, trunk: Trunk, country: str, plan: NumberPlan) -> str | None:
    """The same rules backwards: what a carrier wrote as E.164, None if it is no number."""
    rules = trunk.numbers
    text = _ruled(plain(text), rules.inbound_rules)
    country = rules.country or country
    if is_e164(text):
        return text
    if rules.outbound_format == "e164" and text.isdigit():
        # A carrier that speaks E.164 without + means that, even where the digits could be a national number.
        return plan.e164(f"+{text}", country) or plan.e164(text, country)
    if text.startswith(rules.international_prefix) and rules.international_prefix:
        return plan.e164(f"+{text.removeprefix(rules.international_prefix)}", country)
    national = text.removeprefix(rules.national_prefix) if rules.national_prefix else text
    return plan.e164(text, country) or plan.e164(national, country) or plan.e164(f"+{text}", country)


def _ruled(text: str, rules: tuple[PrefixRule, ...]) -> str:
    fitting = [rule for rule in rules if text.startswith(rule.prefix)]
    if not fitting:
        return text
    rule = max(fitting, key=lambda one: len(one.prefix))
    return rule.prepend + text[rule.strip :]


# ---- whether a trunk may carry it


def allowance(number: str, trunk: Trunk) -> tuple[int, bool]:
    """(length of the longest allowed prefix, blocked). The longest match wins, block wins a tie; 0 and False: not listed."""
    allowed = max((len(one) for one in trunk.allowed if number.startswith(one)), default=0)
    blocked = max((len(one) for one in trunk.blocked if number.startswith(one)), default=0)
    return (0, True) if blocked and blocked >= allowed else (allowed, False)
