"""A query's WHERE as a filter of one collection.

A condition on a joined table becomes a list of keys: the related rows that match are asked for first, wherever they
live, and the rows that refer to one of them are what the condition means. A part of the tree that speaks of one
related row is asked as a whole, so that `filter(a__x=1, a__y=2)` is still about one `a`. A relation with many rows on
the other side can also repeat a row; the compiler takes those joins out of the tree (`Many`) and does them itself.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import NotSupportedError
from django.db.models.expressions import Col, Exists
from django.db.models.lookups import Lookup
from django.db.models.sql.constants import LOUTER
from django.db.models.sql.where import AND, OR, NothingNode, WhereNode

from waybill.rest.filters import NOTHING, AllOf, Compare, Filter, all_of, any_of, negated, true_of_nulls
from waybill.rest_backend.compiler.comparisons import among, columns, compared, named, related_values

MOST_ALTERNATIVES: Final = 32


@dataclass(frozen=True, slots=True)
class Many:
    """A join to a table with any number of rows for each of ours, and which of these count."""

    alias: str
    join: Any
    where: Filter


class Conditions:
    """The conditions of one query, on one connection."""

    def __init__(self, query: Any, connection: Any, *, base: str | None = None) -> None:
        """Take a query; `base`: the table that one within EXISTS begins with, where no repeated row counts."""
        self.query, self.connection = query, connection
        self.base = base or query.get_initial_alias()
        self._once = query.distinct or base is not None
        self.many: list[Many] = []
        self._required: set[str] = set()

    def of(self, where: WhereNode) -> Filter:
        """Return the filter of the base table's rows. Raises NotSupportedError naming what no service is asked for."""
        found = self._node(where, self.base, outermost=True)
        return all_of([found, self._existing(self.base)])

    def _existing(self, base: str) -> Filter:
        """Return what inner joins ask for by themselves, whatever is said of their rows: that there are any."""
        parts: list[Filter] = []
        for alias, join in self.query.alias_map.items():
            if join.parent_alias != base or not self.query.alias_refcount.get(alias):
                continue
            if join.join_type == LOUTER or alias in self._required:
                continue
            lhs, rhs = self.join_of(alias)
            further = self._existing(alias)
            if not rhs.unique and not self._once:
                self._take(alias, [], base)
            elif further != AllOf(()) or not getattr(join.join_field, "concrete", False):
                parts.append(self._refers(lhs, rhs, further))
            elif lhs.null:
                parts.append(Compare(lhs.column, "isnull", False))  # noqa: FBT003 - a value
        return all_of(parts)

    def join_of(self, alias: str) -> tuple[Any, Any]:
        """Return the fields that a join compares: ours and the related table's."""
        join = self.query.alias_map[alias]
        if join.filtered_relation is not None:
            raise NotSupportedError("FilteredRelation is not supported by services")
        if len(join.join_fields) != 1:
            raise NotSupportedError(f"a relation by several columns is not supported: {join.join_field}")
        return join.join_fields[0]

    def _hop(self, alias: str, base: str) -> str:
        """Return the table next to `base` on the way to another one."""
        while (parent := self.query.alias_map[alias].parent_alias) != base:
            if parent is None:
                raise NotSupportedError("a condition on another query's table (OuterRef) is not supported by services")
            alias = parent
        return alias

    def _node(self, node: Any, base: str, *, outermost: bool = False) -> Filter:
        match node:
            case WhereNode(connector=connector) if connector in (AND, OR):
                sure = outermost and not node.negated
                both = connector == AND
                joined = self._together(node.children, base, sure=sure) if both else self._any(node, base)
                return negated(joined) if node.negated else joined
            case NothingNode():
                return NOTHING
            case Lookup():
                hop = self._only_hop(node, base)
                return self._compare(node) if hop is None else self._across(hop, [node], sure=outermost)
            case _:
                raise NotSupportedError(f"{named(node)} in a filter is not supported by services")

    def _any(self, node: WhereNode, base: str) -> Filter:
        return any_of([self._node(child, base) for child in node.children])

    def _together(self, children: Sequence[Any], base: str, *, sure: bool) -> Filter:
        """Return that all of them hold, and those that speak of one related row hold of the same one."""
        if self._is_shared(children, base):
            terms = alternatives(children)
            if any(self._is_shared(term, base) for term in terms):
                raise NotSupportedError("a negated condition about several related rows is not supported by services")
            return any_of(self._together(term, base, sure=False) for term in terms)
        groups: dict[str, list[Any]] = {}
        parts: list[Filter] = []
        for child in children:
            hop = self._only_hop(child, base)
            if hop is None:
                parts.append(self._within(child, base, sure=sure))
            else:
                groups.setdefault(hop, []).append(child)
        for hop, mine in groups.items():
            if sure and self._repeats(hop) and not self._once:
                self._take(hop, mine, base)
            else:
                parts.append(self._across(hop, mine, sure=sure))
        return all_of(parts)

    def _is_shared(self, children: Sequence[Any], base: str) -> bool:
        """Tell whether two of them speak of one row of many, and one of these of something else too."""
        hops = [self._hops(child, base) for child in children]
        counted = Counter(hop for mine in hops for hop in mine if hop is not None)
        return any(
            counted[hop] > 1 and self._repeats(hop) for mine in hops if len(mine) > 1 for hop in mine if hop is not None
        )

    def _hops(self, node: Any, base: str) -> set[str | None]:
        return {None if alias == base else self._hop(alias, base) for alias in _aliases(node)}

    def _only_hop(self, node: Any, base: str) -> str | None:
        """Return the related table that all of a node speaks of; None where it speaks of ours, or of several."""
        hops = self._hops(node, base)
        return hops.pop() if len(hops) == 1 else None

    def _repeats(self, hop: str) -> bool:
        return not self.join_of(hop)[1].unique

    def _take(self, hop: str, children: Sequence[Any], base: str) -> None:
        where = self._related(hop, children, sure=True)
        if base != self.base or (self.query.alias_map[hop].join_type == LOUTER and true_of_nulls(where)):
            raise NotSupportedError(f"a filter across {self._name(hop)} from there is not supported by services")
        self._required.add(hop)
        self.many.append(Many(hop, self.query.alias_map[hop], where))

    def _related(self, hop: str, children: Sequence[Any], *, sure: bool) -> Filter:
        join = self.query.alias_map[hop]
        extra = join.join_field.get_extra_restriction(hop, join.parent_alias)
        found = self._together([*children, *([extra] if extra else [])], hop, sure=sure)
        return all_of([found, self._existing(hop)]) if sure else found

    def _within(self, child: Any, hop: str, *, sure: bool) -> Filter:
        return self._node(child, hop, outermost=sure and not getattr(child, "negated", False))

    def _across(self, hop: str, children: Sequence[Any], *, sure: bool) -> Filter:
        """Return it as keys; `sure`: it must hold, and so there is a related row."""
        lhs, rhs = self.join_of(hop)
        if not rhs.unique and not self._once:
            raise NotSupportedError(f"a filter across {self._name(hop)} can repeat rows here; add distinct()")
        where = self._related(hop, children, sure=sure)
        found = self._refers(lhs, rhs, where)
        if self.query.alias_map[hop].join_type != LOUTER:
            if sure:
                self._required.add(hop)
            return found
        if not true_of_nulls(where):
            return found
        missing = Compare(lhs.column, "isnull", True) if lhs.null else negated(self._refers(lhs, rhs, AllOf(())))  # noqa: FBT003 - a value
        return any_of([found, missing])

    def _name(self, hop: str) -> str:
        field = self.query.alias_map[hop].join_field
        return str(getattr(field, "name", hop))

    def _refers(self, lhs: Any, rhs: Any, where: Filter) -> Filter:
        """Return that the row refers to one of the related rows that match."""
        return among(lhs, related_values(rhs, where, self.connection), self.connection)

    def _compare(self, lookup: Any) -> Filter:
        if isinstance(lookup.lhs, Exists) and lookup.lookup_name == "exact" and isinstance(lookup.rhs, bool):
            found = self._exists(lookup.lhs.query)
            return found if lookup.rhs else negated(found)
        return compared(lookup, self.connection)

    def _exists(self, query: Any) -> Filter:
        """Return EXISTS (… WHERE inner.x = outer.y AND …) as: y is one of the x that the rest finds."""
        tied = [one for one in query.where.children if _ties(one, query)]
        if len(tied) != 1 or query.where.negated or query.where.connector != AND or query.low_mark:
            raise NotSupportedError("Exists() is supported by services with one equality to the outer row, in AND")
        inner, outer = tied[0].lhs, tied[0].rhs
        if outer.alias != self.base or query.alias_map[inner.alias].parent_alias is not None:
            raise NotSupportedError("Exists() about a related row is not supported by services")
        rest = query.clone()
        rest.where.children = [one for one in rest.where.children if not _ties(one, rest)]
        where = Conditions(rest, self.connection, base=inner.alias).of(rest.where)
        return self._refers(outer.target, inner.target, where)


def alternatives(children: Iterable[Any]) -> list[list[Any]]:
    """Return the disjunctive normal form: of each list all must hold. Raises NotSupportedError where it is long."""
    found: list[list[Any]] = [[]]
    for child in children:
        match child:
            case WhereNode(connector="AND", negated=False):
                terms = alternatives(child.children)
            case WhereNode(connector="OR", negated=False):
                terms = [term for one in child.children for term in alternatives([one])]
            case _:
                terms = [[child]]
        found = [[*one, *term] for one in found for term in terms]
        if len(found) > MOST_ALTERNATIVES:
            raise NotSupportedError(
                f"a filter of more than {MOST_ALTERNATIVES} alternatives about one related row is not supported"
            )
    return found


def _aliases(node: Any) -> set[str]:
    if isinstance(node, WhereNode):
        return {alias for child in node.children for alias in _aliases(child)}
    lhs = getattr(node, "lhs", None)
    if isinstance(lhs, Exists):
        return {col.alias for col in lhs.get_external_cols()}
    return {col.alias for col in columns(lhs)} if lhs is not None else set()


def _ties(node: Any, query: Any) -> bool:
    """Tell whether a condition of a subquery holds a column of its own against one of the outer row."""
    if not (isinstance(node, Lookup) and node.lookup_name == "exact"):
        return False
    lhs, rhs = node.lhs, node.rhs
    return isinstance(lhs, Col) and isinstance(rhs, Col) and query.alias_map.get(rhs.alias) is None
