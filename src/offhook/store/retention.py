"""Old rows are taken away a bounded number at a time, so that no sweep holds up the writer or a reader for long."""

import asyncio
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Delete, Update, delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

AT_ONCE = 1_000
"""Rows of one statement: some milliseconds."""
BREATH = 0.05
"""Seconds between two statements: whoever waits to write goes first."""


async def delete_old(engine: AsyncEngine, moment: Column[Any], before: datetime, at_once: int = AT_ONCE) -> int:
    """Takes away the rows of a table whose moment is before another; returns how many there were."""
    return await _in_parts(engine, moment, moment < before, lambda table: delete(table), at_once)


async def empty_old(
    engine: AsyncEngine,
    moment: Column[Any],
    before: datetime,
    unless: Column[Any],
    values: dict[str, Any],
    at_once: int = AT_ONCE,
) -> int:
    """Sets values in such rows; those with something in `unless` have been done already."""
    old = (moment < before) & unless.is_(None)
    return await _in_parts(engine, moment, old, lambda table: update(table).values(**values), at_once)


async def keep_newest(engine: AsyncEngine, moment: Column[Any], most: int, at_once: int = AT_ONCE) -> int:
    """Takes away what a table has beyond its newest rows; returns how many there were."""
    async with engine.connect() as connection:
        beyond = await connection.scalar(select(moment).order_by(moment.desc()).offset(most).limit(1))
    if beyond is None:
        return 0
    return await _in_parts(engine, moment, moment <= beyond, lambda table: delete(table), at_once)


async def _in_parts(
    engine: AsyncEngine, moment: Column[Any], old: ColumnElement[bool], change: Any, at_once: int
) -> int:
    key = next(iter(moment.table.primary_key))
    statement: Delete | Update = change(moment.table)
    some = statement.where(key.in_(select(key).where(old).order_by(moment).limit(at_once)))
    total = 0
    while True:
        async with engine.begin() as connection:
            done = (await connection.execute(some)).rowcount
        total += done
        if done < at_once:
            return total
        await asyncio.sleep(BREATH)
