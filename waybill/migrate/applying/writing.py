"""Rows of several events, written table by table: each statement takes all of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from waybill.migrate import tables
from waybill.migrate.applying.inverse import EventRefused
from waybill.migrate.applying.receiving import Filled, Receiving, Rows

# OVERRIDING: a key that the database always gives itself was given by the other side. A row that is as it should be is
# not written anew. A child row that is another aggregate's here stays that one's: events of two have no sequence.
UPSERT: Final = """
INSERT INTO {table} AS t ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM unnest({arrays}) AS new ({names})
ON CONFLICT ({key}) DO {update}
"""
UPDATE: Final = "UPDATE SET {set} WHERE {mine} {ours} IS DISTINCT FROM {theirs}"
APPEND: Final = """
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {values} FROM unnest({arrays}) WITH ORDINALITY AS new ({names}, waybill_nth) ORDER BY waybill_nth
"""
DELETE: Final = "DELETE FROM {table} WHERE {key} = ANY(%s::{type}[])"
SOFT_DELETE: Final = (
    "UPDATE {table} SET {soft} = {gone} WHERE {key} = ANY(%s::{type}[]) AND {soft} IS DISTINCT FROM {gone}"
)
# What the event no longer names; a row that has gone to another aggregate is that one's.
SHRINK: Final = "DELETE FROM {table} WHERE {parent} = ANY(%s::{type}[]) AND NOT ({key} = ANY(%s::{key_type}[]))"
# Child rows without a key in the event are told apart by their sequence alone: other rows, other sequence, all anew.
OTHERS: Final = """
SELECT wanted.key FROM unnest(%s::text[]) AS wanted (key)
WHERE ARRAY(SELECT ROW({ours})::text FROM {table} AS t WHERE t.{parent} = wanted.key::{type} ORDER BY {sequence})
    IS DISTINCT FROM ARRAY(SELECT ROW({theirs})::text
        FROM unnest({arrays}) WITH ORDINALITY AS new (waybill_parent, {names}, waybill_nth)
        WHERE new.waybill_parent = wanted.key ORDER BY waybill_nth)
"""

ELSEWHERE: Final = """
SELECT t.{key}::text, t.{parent}::text FROM {table} AS t
JOIN unnest(%s::text[], %s::text[]) AS new (key, parent) ON t.{key} = new.key::{key_type}
WHERE t.{parent} IS DISTINCT FROM new.parent::{type} LIMIT 1
"""

Datum = Mapping[str, Any]


def write(cursor: Any, receiving: Receiving, wanted: Mapping[str, Datum]) -> None:
    """Write the rows of these keys with their child rows. Raises EventRefused and what the database raises."""
    keys = list(wanted)
    for name, child in receiving.children.items():
        if child.key is not None:
            _shrink(cursor, receiving, child, [line for datum in wanted.values() for line in datum[name]], keys)
    _upsert_rows(cursor, receiving, list(wanted.values()))
    for name, child in receiving.children.items():
        lines = [(key, line) for key, datum in wanted.items() for line in datum[name]]
        if child.key is not None:
            _upsert(cursor, child, _columns(child, lines), child.key.name)
        else:
            _replace(cursor, receiving, child, lines, keys)


def delete(cursor: Any, receiving: Receiving, keys: Sequence[str]) -> None:
    """Delete the rows of these keys with their child rows, or mark them as deleted. Raises what the database raises."""
    row = receiving.row
    assert row.key is not None
    if receiving.soft is not None:
        soft, _, gone = receiving.soft
        words = {"soft": _name(soft), "gone": gone, "key": _name(row.key.name), "type": _escaped(row.key.cast)}
        cursor.execute(SOFT_DELETE.format(table=_name(row.table), **words), [list(keys)])
        return
    for child in receiving.children.values():
        assert child.parent is not None
        _delete(cursor, child.table, child.parent.name, row.key.cast, keys)
    _delete(cursor, row.table, row.key.name, row.key.cast, keys)


def of_another(cursor: Any, child: Rows, lines: Sequence[tuple[str, Datum]]) -> tuple[str, str] | None:
    """Return a child row of these that is another aggregate's here, and that one's key; None where there is none."""
    if child.key is None or child.parent is None:
        return None
    own = next(one for one in child.filled if one.column is child.key)
    statement = ELSEWHERE.format(
        table=_name(child.table),
        parent=_name(child.parent.name),
        type=_escaped(child.parent.cast),
        key=_name(child.key.name),
        key_type=_escaped(child.key.cast),
    )
    cursor.execute(statement, [[_value(child, own, line) for _, line in lines], [key for key, _ in lines]])
    return cursor.fetchone()


def _delete(cursor: Any, table: str, key: str, kind: str, keys: Sequence[str]) -> None:
    statement = DELETE.format(table=_name(table), key=_name(key), type=_escaped(kind))
    cursor.execute(statement, [list(keys)])


def _upsert_rows(cursor: Any, receiving: Receiving, data: Sequence[Datum]) -> None:
    row = receiving.row
    assert row.key is not None
    columns = [(one.column.name, one.column.cast, [_value(row, one, datum) for datum in data]) for one in row.filled]
    constants = {receiving.soft[0]: receiving.soft[1]} if receiving.soft else {}
    _upsert(cursor, row, columns, row.key.name, constants)


_Columns = list[tuple[str, str, list[str | None]]]
"""Name, type and values of each column."""


def _columns(child: Rows, lines: Sequence[tuple[str, Datum]]) -> _Columns:
    assert child.parent is not None
    keys: list[str | None] = [key for key, _ in lines]
    return [(child.parent.name, child.parent.cast, keys), *_own_columns(child, lines)]


def _own_columns(child: Rows, lines: Sequence[tuple[str, Datum]]) -> _Columns:
    return [(one.column.name, one.column.cast, [_value(child, one, line) for _, line in lines]) for one in child.filled]


def _value(rows: Rows, one: Filled, datum: Datum) -> str | None:
    try:
        return one.convert(datum[one.field])
    except EventRefused as refused:
        raise EventRefused(f"{rows.table}.{refused}") from None


def _upsert(cursor: Any, rows: Rows, columns: _Columns, key: str, constants: Mapping[str, str] | None = None) -> None:
    if not columns[0][2]:
        return
    always = constants or {}
    names = [name for name, _, _ in columns]
    changed = [name for name in (*names, *always) if name != key]
    given = {**rows.defaults, **always}
    ours, theirs = (", ".join(_comparable(rows, of, name) for name in changed) for of in ("t", "excluded"))
    parent = _name(rows.parent.name) if rows.parent else ""
    update = UPDATE.format(
        mine=f"t.{parent} = excluded.{parent} AND" if parent else "",
        set=", ".join(f"{_name(name)} = excluded.{_name(name)}" for name in changed),
        ours=f"ROW({ours})",
        theirs=f"ROW({theirs})",
    )
    statement = UPSERT.format(
        table=_name(rows.table),
        columns=_list((*names, *given)),
        values=", ".join([*_cast("new", columns), *map(_escaped, given.values())]),
        arrays=_arrays(len(columns)),
        names=_list(names),
        key=_name(key),
        update=update if changed else "NOTHING",
    )
    cursor.execute(statement, [values for _, _, values in columns])


def _shrink(cursor: Any, receiving: Receiving, child: Rows, lines: Iterable[Datum], keys: Sequence[str]) -> None:
    """Delete the child rows that the events no longer have."""
    assert child.key is not None
    assert child.parent is not None
    assert receiving.row.key is not None
    own = next(one for one in child.filled if one.column is child.key)
    statement = SHRINK.format(
        table=_name(child.table),
        parent=_name(child.parent.name),
        type=_escaped(receiving.row.key.cast),
        key=_name(child.key.name),
        key_type=_escaped(child.key.cast),
    )
    cursor.execute(statement, [list(keys), [_value(child, own, line) for line in lines]])


def _replace(
    cursor: Any, receiving: Receiving, child: Rows, lines: Sequence[tuple[str, Datum]], keys: Sequence[str]
) -> None:
    """Write all child rows anew of the aggregates that have others."""
    assert child.parent is not None
    assert receiving.row.key is not None
    columns = _own_columns(child, lines)
    parents = [key for key, _ in lines]
    statement = OTHERS.format(
        table=_name(child.table),
        parent=_name(child.parent.name),
        type=_escaped(receiving.row.key.cast),
        ours=", ".join(f"t.{_name(name)}" for name, _, _ in columns),
        theirs=", ".join(f"new.{_name(one.column.name)}::{_escaped(one.column.type)}" for one in child.filled),
        sequence=", ".join(f"t.{_name(one)}" for one in child.sequence) or "t.ctid",
        arrays=_arrays(len(columns) + 1),
        names=_list([name for name, _, _ in columns]),
    )
    cursor.execute(statement, [list(keys), parents, *(values for _, _, values in columns)])
    others = {key for (key,) in cursor.fetchall()}
    if not others:
        return
    _delete(cursor, child.table, child.parent.name, receiving.row.key.cast, sorted(others))
    _append(cursor, child, _columns(child, [line for line in lines if line[0] in others]))


def _append(cursor: Any, child: Rows, columns: _Columns) -> None:
    if not columns[0][2]:
        return
    statement = APPEND.format(
        table=_name(child.table),
        columns=_list((*(name for name, _, _ in columns), *child.defaults)),
        values=", ".join([*_cast("new", columns), *map(_escaped, child.defaults.values())]),
        arrays=_arrays(len(columns)),
        names=_list([name for name, _, _ in columns]),
    )
    cursor.execute(statement, [values for _, _, values in columns])


def _comparable(rows: Rows, of: str, name: str) -> str:
    """Return a column so that it can be compared: json has no equality."""
    is_json = any(one.column.name == name and one.column.kind == "json" for one in rows.filled)
    return f"{of}.{_name(name)}" + ("::text" if is_json else "")


def _cast(of: str, columns: _Columns) -> list[str]:
    return [f"{of}.{_name(name)}::{_escaped(kind)}" for name, kind, _ in columns]


def _arrays(count: int) -> str:
    return ", ".join(["%s::text[]"] * count)


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(_name, names))


def _name(name: str) -> str:
    return _escaped(tables.identifier(name))


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
