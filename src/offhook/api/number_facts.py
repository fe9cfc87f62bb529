"""What the world's numbering plans say of a number (API.md 5.1, 5.4), by the library `phonenumbers`; no carrier is asked."""

from typing import Any

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

KINDS = {
    PhoneNumberType.FIXED_LINE: "fixed_line",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_line_or_mobile",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PREMIUM_RATE: "premium_rate",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.PERSONAL_NUMBER: "personal_number",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "uan",
    PhoneNumberType.VOICEMAIL: "voicemail",
}


def _read(e164: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return None


def country_of(e164: str) -> str | None:
    """ISO 3166 code of the country, None for numbers of none."""
    number = _read(e164)
    region = phonenumbers.region_code_for_number(number) if number is not None else None
    # The library's word for numbers of the whole world is no country's.
    return region if region is not None and region.isalpha() else None


def calling_code(country: str) -> str:
    """The digits after + of a country's numbers; "" for an unknown country."""
    code = phonenumbers.country_code_for_region(country)
    return str(code) if code else ""


def type_of(e164: str) -> str:
    """The `number_type` of API.md 5.2."""
    number = _read(e164)
    free = number is not None and phonenumbers.number_type(number) == PhoneNumberType.TOLL_FREE
    return "toll-free" if free else "longcode"


def place_of(e164: str) -> tuple[str | None, str | None]:
    """(city, region) as far as the numbering plan tells, `("Austin", "TX")`."""
    number = _read(e164)
    text = _description(number) if number is not None else ""
    city, comma, region = text.rpartition(", ")
    return (city, region) if comma else (None, text or None)


def _description(number: PhoneNumber) -> str:
    # Its tables take a second and some megabytes, which nobody pays who does not ask.
    from phonenumbers import geocoder

    return str(geocoder.description_for_number(number, "en"))


def facts_of(e164: str) -> dict[str, Any] | None:
    """The object of `GET /lookup/phone_number/{e164}`; None for what is no number."""
    number = _read(e164)
    if number is None or not phonenumbers.is_possible_number(number):
        return None
    from phonenumbers import timezone

    return {
        "country_code_number": number.country_code,
        "national_number": phonenumbers.national_significant_number(number),
        "possible_number": True,
        "valid_number": phonenumbers.is_valid_number(number),
        "national_number_formatted": phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
        "international_number_formatted": phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
        "e164": phonenumbers.format_number(number, PhoneNumberFormat.E164),
        "location": _description(number) or None,
        "country_code": phonenumbers.region_code_for_number(number),
        "timezones": list(timezone.time_zones_for_number(number)),
        "number_type": KINDS.get(phonenumbers.number_type(number), "unknown"),
        "carrier": {},
        "cnam": {},
    }
