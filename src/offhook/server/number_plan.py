"""The numbering plans of the world, by the library `phonenumbers` (calls.numbers.NumberPlan)."""

from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberFormat, shortnumberinfo


class WorldPlan:
    """Answers are remembered: the same few numbers are asked about again and again."""

    def e164(self, text: str, country: str) -> str | None:
        return _e164(text, country)

    def national(self, e164: str, country: str) -> str | None:
        try:
            number = phonenumbers.parse(e164)
        except phonenumbers.NumberParseException:
            return None
        if number.country_code != _calling_code(country):
            return None
        return phonenumbers.national_significant_number(number)

    def is_short(self, text: str, country: str) -> bool:
        return _is_short(text, country)

    def is_emergency(self, text: str, country: str) -> bool:
        return text.isdigit() and shortnumberinfo.is_emergency_number(text, _region(country))


def _region(country: str) -> str:
    if country.isdigit():
        return str(phonenumbers.region_code_for_country_code(int(country)))
    return country


def _calling_code(country: str) -> int:
    return int(country) if country.isdigit() else phonenumbers.country_code_for_region(country)


@lru_cache(maxsize=4096)
def _e164(text: str, country: str) -> str | None:
    try:
        number = phonenumbers.parse(text, _region(country))
    except phonenumbers.NumberParseException:
        return None
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


@lru_cache(maxsize=4096)
def _is_short(text: str, country: str) -> bool:
    if not text.isdigit() or len(text) > 6:
        return False
    try:
        number = phonenumbers.parse(text, _region(country))
    except phonenumbers.NumberParseException:
        return False
    return shortnumberinfo.is_valid_short_number_for_region(number, _region(country))
