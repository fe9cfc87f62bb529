"""Lists: what a page takes as its size, number and token (API.md 1.4)."""

from urllib.parse import parse_qsl

import pytest

from offhook.api.errors import Invalid
from offhook.api.paging import page


def listed(**query: str) -> list[int]:
    return [row["n"] for row in page(range(2000), lambda n: f"{n:04}", lambda n: {"n": n}, "/list", query)["data"]]


@pytest.mark.parametrize(
    "query",
    [
        {"page_size": "0"},
        {"page_size": "1001"},
        # Leading zeros hide neither a size above the largest nor one that Python refuses to read.
        {"page_size": "00000005099999"},
        {"page_size": "000000001" + "0" * 5000},
        {"page_size": "²"},
        {"page_number": "9" * 5000},
        {"page_number": "1"},
        {"page_token": "PAé"},
        {"page_token": "PA/"},
        {"page_token": "XXMTIz"},
    ],
)
def test_what_cannot_be_read_is_named(query: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        listed(**query)
    assert refused.value.faults[0].attribute in ("page_token", next(iter(query)))


def test_the_largest_page() -> None:
    assert listed(page_size="1000") == list(range(1999, 999, -1))


def test_rows_added_while_paging_neither_repeat_nor_hide_rows() -> None:
    rows = list(range(10, 20))

    def show(query: dict[str, str]) -> tuple[list[int], dict[str, str]]:
        answer = page(rows, lambda n: f"{n:04}", lambda n: {"n": n}, "/list", {"page_size": "3", **query})
        links = {name: dict(parse_qsl(link.partition("?")[2])) for name, link in answer["links"].items()}
        return [row["n"] for row in answer["data"]], links

    # 1. forwards: a new one above each page, one of the next page gone
    seen, links = show({})
    while "next" in links:
        rows.append(max(rows) + 1)
        more, links = show(links["next"])
        seen += more
    assert seen == list(range(19, 9, -1))
    # 2. and back: what stands before a page, the new ones too
    back: list[int] = []
    while "prev" in links:
        more, links = show(links["prev"])
        back = more + back
    assert back == [one for one in range(max(rows), 9, -1) if one > 10]
