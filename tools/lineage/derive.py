"""What a compiled model says of its rows: from which columns each of its columns comes, and how a row finds its own rows in
the tables that the model reads.

A query is unfolded until it stands over tables alone: every common table expression and subquery is put in place of its
name, a UNION gives a derivation for each of its branches. In a derivation a column is an expression over the tables'
columns, and all that the query says to be equal (joins, conditions, what is passed on as it is) makes classes of terms.
A term of a table in the class of one of the model's columns is a link.
"""

import itertools
from dataclasses import dataclass, field

from sqlglot import exp

DIALECT = "snowflake"

# A query with more derivations is not unfolded whole, and the rest is listed as unresolved.
MOST_DERIVATIONS = 32


@dataclass
class Derivation:
    """One way in which a query makes rows."""

    # The columns in their order, as expressions over columns of occurrences.
    outputs: dict[str, exp.Expression]
    # Occurrence to table: a table that is joined twice occurs twice.
    tables: dict[str, str] = field(default_factory=dict)
    # What holds of each row.
    conditions: list[exp.Expression] = field(default_factory=list)
    # Of an occurrence: in which order it is ranked where only the first row is kept.
    orders: dict[str, list[exp.Expression]] = field(default_factory=dict)
    # Occurrences whose rows are put together by a GROUP BY.
    grouped: set[str] = field(default_factory=set)


class Unfolding:
    """Unfolds one model's query. `tables` says of every table that it may read which columns there are."""

    def __init__(self, query, tables):
        self.tables, self.numbers, self.unresolved = tables, itertools.count(1), []
        self.derivations = self.query(query, {}, ())

    def give_up(self, reason):
        if reason not in self.unresolved:
            self.unresolved.append(reason)
        return []

    def query(self, node, named, within):
        """Derivations of a query; `named` has the common table expressions in sight, `within` those that are being unfolded."""
        with_ = node.args.get("with_") or node.args.get("with")
        if with_:
            named = dict(named)
            for table in with_.expressions:
                columns = [column.name.upper() for column in (table.args["alias"].args.get("columns") or [])]
                named[table.alias.upper()] = (table.this, columns, dict(named), bool(with_.args.get("recursive")))
        if isinstance(node, exp.Subquery):
            return self.query(node.this, named, within)
        if isinstance(node, exp.SetOperation):
            names = [column.alias_or_name.upper() for column in node.selects]
            sides = self.query(node.left, named, within) + self.query(node.right, named, within)
            return [self.renamed(side, names) for side in sides]
        if isinstance(node, exp.Select):
            return self.select(node, named, within)
        return self.give_up(f"{type(node).__name__} is not unfolded")

    def renamed(self, derivation, names):
        if names:
            derivation.outputs = dict(zip(names, derivation.outputs.values(), strict=True))
        return derivation

    def source(self, node, named, within):
        """Derivations of one entry of a FROM or JOIN."""
        if isinstance(node, exp.Subquery):
            return self.query(node.this, named, within)
        if isinstance(node, exp.Values):
            # Numbers that the query writes out: they come from no table.
            columns = [column.name.upper() for column in node.args["alias"].args.get("columns") or []]
            return [Derivation({column: exp.Placeholder(this=f"n{next(self.numbers)}") for column in columns})]
        if not isinstance(node, exp.Table):
            return self.give_up(f"{type(node).__name__} in FROM is not unfolded")
        full = ".".join(part.name.upper() for part in node.parts)
        if full in named:
            query, columns, sight, recursive = named[full]
            if full in within:
                return self.give_up(f"{full} is recursive: only its first rows are followed")
            sight = sight | {full: named[full]} if recursive else sight
            found = self.query(query, sight, (*within, full))
            return [self.renamed(derivation, columns) for derivation in found]
        if full not in self.tables:
            return self.give_up(f"the columns of {full} are not known")
        name = f"T{next(self.numbers)}"
        columns = {column: exp.column(column, table=name) for column in self.tables[full]}
        return [Derivation(columns, {name: full})]

    def select(self, node, named, within):
        joined = [node.args.get("from_") or node.args.get("from"), *node.args.get("joins", [])]
        entries = [(entry.this.alias_or_name.upper(), self.source(entry.this, named, within)) for entry in joined if entry]
        combinations = itertools.product(*[found for _, found in entries])
        found = list(itertools.islice(combinations, MOST_DERIVATIONS + 1))
        if len(found) > MOST_DERIVATIONS:
            self.give_up(f"there are more than {MOST_DERIVATIONS} ways to a row")
        return [self.joined(node, [name for name, _ in entries], chosen) for chosen in found[:MOST_DERIVATIONS]]

    def joined(self, node, names, chosen):
        # Copies: what a common table expression gives may be used more than once.
        sight = dict(zip(names, [derivation.outputs for derivation in chosen]))

        def resolve(expression):
            def replace(part):
                # A column of a subquery belongs to another query.
                if not isinstance(part, exp.Column) or part.find_ancestor(exp.Exists, exp.Subquery):
                    return part
                owners = [part.table.upper()] if part.table else [name for name in sight if part.name.upper() in sight[name]]
                if len(owners) != 1 or part.name.upper() not in sight.get(owners[0], {}):
                    self.give_up(f"the column {part.sql(DIALECT)} is not found")
                    return exp.Null()
                return exp.paren(sight[owners[0]][part.name.upper()].copy()).unnest().copy()

            return expression.copy().transform(replace)

        derivation = Derivation({})
        for inner in chosen:
            derivation.tables |= inner.tables
            derivation.conditions += inner.conditions
            derivation.orders |= inner.orders
            derivation.grouped |= inner.grouped
        for column in node.expressions:
            for name, expression in self.columns(column, sight):
                name = f"_{next(self.numbers)}" if name in derivation.outputs else name
                derivation.outputs[name] = resolve(expression)
        told = [join.args["on"] for join in node.args.get("joins", []) if join.args.get("on")]
        told += [node.args["where"].this] if node.args.get("where") else []
        derivation.conditions += [resolve(part) for condition in told for part in condition.flatten() if isinstance(condition, exp.And)]
        derivation.conditions += [resolve(condition) for condition in told if not isinstance(condition, exp.And)]
        if node.args.get("group") or any(is_aggregate(column) for column in node.expressions):
            derivation.grouped |= set(derivation.tables)
        self.note_order(node, derivation, resolve)
        return derivation

    def columns(self, column, sight):
        """Names and expressions of a select's column; a star is several."""
        is_star = isinstance(column, exp.Star) or isinstance(column, exp.Column) and isinstance(column.this, exp.Star)
        if not is_star:
            # Only the first side of a UNION needs names.
            yield column.alias_or_name.upper() or f"_{next(self.numbers)}", column.unalias()
            return
        of = [column.table.upper()] if isinstance(column, exp.Column) else list(sight)
        for name in of:
            for inner in sight.get(name, {}):
                yield inner, exp.column(inner, table=name)

    def note_order(self, node, derivation, resolve):
        """QUALIFY ROW_NUMBER() OVER (… ORDER BY …) = 1 over one table keeps the first of its rows by that order."""
        qualify = node.args.get("qualify")
        if not qualify or len(derivation.tables) != 1 or not isinstance(qualify.this, exp.EQ):
            return
        window = qualify.this.this
        if isinstance(window, exp.Window) and isinstance(window.this, exp.RowNumber) and qualify.this.expression.name == "1":
            order = [resolve(term) for term in window.args["order"].expressions]
            if not any(term.find(exp.AggFunc, exp.Window) for term in order):
                derivation.orders[next(iter(derivation.tables))] = order


def text(expression):
    return expression.sql(DIALECT)


def occurrences(expression):
    return {column.table for column in expression.find_all(exp.Column)}


def is_of_a_row(expression):
    """Whether it is worked out from the columns of one row alone."""
    return not expression.find(exp.AggFunc, exp.Window, exp.Subquery, exp.Exists, exp.Placeholder)


def is_aggregate(expression):
    return any(not found.find_ancestor(exp.Window) for found in expression.find_all(exp.AggFunc))


def same_as(expression):
    """What an expression passes on: itself, or what COALESCE puts a constant in place of."""
    if isinstance(expression, exp.Coalesce) and all(isinstance(other, exp.Literal) for other in expression.expressions):
        return expression.this
    return expression


class Classes:
    """Terms that are equal in each row of a derivation."""

    def __init__(self, derivation):
        self.parents, self.terms = {}, {}
        for name, expression in derivation.outputs.items():
            if is_of_a_row(expression):
                self.unite(exp.column(name, table="OUT"), same_as(expression))
                self.unite(expression, same_as(expression))
        for condition in derivation.conditions:
            condition = condition.unnest()
            if isinstance(condition, exp.EQ) and is_of_a_row(condition):
                self.unite(condition.left, condition.right)

    def find(self, key):
        while self.parents[key] != key:
            key = self.parents[key]
        return key

    def add(self, term):
        key = text(term)
        self.terms.setdefault(key, term)
        self.parents.setdefault(key, key)
        return key

    def unite(self, one, other):
        self.parents[self.find(self.add(one))] = self.find(self.add(other))

    def listed(self):
        classes = {}
        for key, term in self.terms.items():
            classes.setdefault(self.find(key), []).append(term)
        return classes.values()

    def outputs_equal_to(self, term):
        key = text(term)
        if key not in self.parents:
            return []
        root = self.find(key)
        return [other.name for other_key, other in self.terms.items() if self.find(other_key) == root and is_output(other)]


def is_output(term):
    return isinstance(term, exp.Column) and term.table == "OUT"
