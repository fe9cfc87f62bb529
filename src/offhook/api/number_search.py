"""Free numbers: those of trunks' `did_ranges` that belong to nobody yet (API.md 5.1)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from offhook.api.errors import Fault, Invalid
from offhook.api.number_facts import calling_code, place_of, type_of
from offhook.api.number_fields import CAPABILITIES, KINDS
from offhook.api.ports import Platform

MOST, DEFAULT = 100, 50
SCANNED = 20_000
"""Numbers that one search looks at: a wish that fits none of so many is answered with what was found, not with minutes."""

Range = tuple[int, int]


def ranges_of(platform: Platform) -> list[Range]:
    """Every range that a trunk delivers, as whole numbers without +, in order."""
    texts = [text for trunk in platform.trunks for text in trunk.settings["did_ranges"]]
    return sorted(_read(text) for text in texts)


def _read(text: str) -> Range:
    first, _, last = text.partition("-")
    return int(first.strip().lstrip("+")), int((last or first).strip().lstrip("+"))


def delivered(platform: Platform, number: str) -> bool:
    """True if some trunk delivers it."""
    value = int(number[1:])
    return any(first <= value <= last for first, last in ranges_of(platform))


def search(platform: Platform, query: Mapping[str, str], country: str) -> list[dict[str, Any]]:
    """Free numbers that fit, the lowest first. Raises Invalid."""
    most = _most(query)
    kind = KINDS.get(query.get("number_type", ""))
    found: list[dict[str, Any]] = []
    for number in _fitting(platform, query, country):
        city, region = place_of(number)
        if kind not in (None, type_of(number)) or not _same(query, "city", city) or not _same(query, "region", region):
            continue
        found.append(_shown(number, city, region))
        if len(found) == most:
            break
    return found


def _most(query: Mapping[str, str]) -> int:
    text = query.get("max_results", "")
    if not text:
        return DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MOST):
        raise Invalid(Fault("max_results", "invalid_parameter", f"Max_results must be between 1 and {MOST}"))
    return int(text)


def _digits(text: str) -> str:
    return "".join(one for one in text if one.isascii() and one.isdigit())


def _fitting(platform: Platform, query: Mapping[str, str], country: str) -> Iterator[str]:
    """Free numbers with the wished digits, at most so many looked at."""
    code = calling_code(country)
    starts = [code + _digits(query["areacode"])] if query.get("areacode") else []
    if query.get("starts_with"):
        text = query["starts_with"]
        starts.append(_digits(text) if text.startswith("+") else code + _digits(text))
    contains, ends = _digits(query.get("contains", "")), _digits(query.get("ends_with", ""))
    for scanned, value in enumerate(_values(ranges_of(platform), starts)):
        if scanned == SCANNED:
            return
        digits = str(value)
        if contains in digits and digits.endswith(ends) and platform.numbers.find(f"+{digits}") is None:
            yield f"+{digits}"


def _values(ranges: Iterable[Range], starts: list[str]) -> Iterator[int]:
    """The numbers of the ranges that begin so; what lies before is not walked through."""
    for first, last in ranges:
        low, high = first, last
        for start in starts:
            width = len(str(first)) - len(start)
            if width < 0:
                low, high = 1, 0
                break
            low, high = max(low, int(start) * 10**width), min(high, (int(start) + 1) * 10**width - 1)
        yield from range(low, high + 1)


def _same(query: Mapping[str, str], field: str, value: str | None) -> bool:
    wished = query.get(field, "")
    return not wished or wished.casefold() == (value or "").casefold()


def _shown(number: str, city: str | None, region: str | None) -> dict[str, Any]:
    return {
        "number": number,
        "e164": number,
        "region": region,
        "city": city,
        "rate_center": None,
        "lata": None,
        "capabilities": {name: name == "voice" for name in CAPABILITIES},
    }
