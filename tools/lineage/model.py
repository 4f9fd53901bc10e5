"""One model in the artefact: its columns with their sources, its links, and what is unresolved."""

from sqlglot import exp, parse_one

from derive import DIALECT, Classes, Unfolding, is_aggregate, is_of_a_row, is_output, occurrences, text


def describe(sql, tables, never_null):
    """Columns, links and what is unresolved of a compiled model; `tables` has the columns of the tables before it, `never_null`
    the model's columns that are tested never to be null."""
    unfolding = Unfolding(parse_one(sql, read=DIALECT), tables)
    found = [(derivation, Classes(derivation)) for derivation in unfolding.derivations]
    names = list(found[0][0].outputs) if found else []
    columns = {name: column(name, found) for name in names}
    return {"columns": columns, "links": links(found, never_null)}, unfolding.unresolved


def column(name, found):
    """Sources of a column, whatever the derivation, its formula and how it can be worked out again."""
    sources, formulas = {}, []
    for derivation, _ in found:
        expression = derivation.outputs[name]
        kind = kind_of(expression)
        if kind == "aggregate" and not occurrences(expression):
            # A count of rows comes from the rows, whatever is in them.
            sources |= {(derivation.tables[occurrence], "*"): kind for occurrence in derivation.grouped}
        for leaf in expression.find_all(exp.Column):
            sources.setdefault((derivation.tables[leaf.table], leaf.name), kind)
        if kind != "same":
            formulas.append(text(with_names(expression, derivation.tables)))
    entry = {"from": [{"table": table, "column": leaf, "how": how} for (table, leaf), how in sorted(sources.items())]}
    if formulas:
        entry["formula"] = formulas[0] if len(formulas) == 1 else " | ".join(dict.fromkeys(formulas))
    if again := again_of(name, found):
        entry["again"] = again
    return entry


def kind_of(expression):
    if isinstance(expression, exp.Column):
        return "same"
    if expression.find(exp.Window):
        return "window"
    return "aggregate" if is_aggregate(expression) else "computed"


def with_names(expression, tables):
    """The expression with the tables' own names in place of occurrences."""
    changed = expression.copy()
    for leaf in changed.find_all(exp.Column):
        leaf.set("table", exp.to_identifier(tables[leaf.table].split(".")[-1]))
    return changed


def again_of(name, found):
    """How a value is worked out again: over the rows that were grouped (R), or from other columns of its own row (R)."""
    if len(found) != 1:
        return None
    derivation, classes = found[0]
    expression = derivation.outputs[name]
    if isinstance(expression, exp.Column) or expression.find(exp.Window, exp.Subquery, exp.Exists, exp.Placeholder):
        return None
    if expression.find(exp.AggFunc):
        return over_rows(expression, derivation)
    return over_own_row(name, expression, classes)


def over_rows(expression, derivation):
    inner = occurrences(expression) or derivation.grouped
    if len(inner) != 1 or not inner <= derivation.grouped:
        return None

    def of_all(part):
        # The key of the group is the same in all of its rows.
        if isinstance(part, exp.Column) and not part.find_ancestor(exp.AggFunc):
            return exp.AnyValue(this=exp.column(part.name, table="R"))
        if isinstance(part, exp.Column):
            return exp.column(part.name, table="R")
        return part

    changed = expression.copy().transform(of_all)
    return {"over": derivation.tables[next(iter(inner))], "uses": used(changed), "sql": operand(changed)}


def operand(expression):
    """As text that may stand beside an operator."""
    is_closed = isinstance(expression, (exp.Column, exp.Func, exp.Literal, exp.Ordered))
    return text(expression if is_closed else exp.paren(expression.copy()))


def used(expression):
    return sorted({column.name for column in expression.find_all(exp.Column)})


def over_own_row(name, expression, classes):
    missing = []

    def of_outputs(part):
        if not isinstance(part, exp.Column):
            return part
        equal = [output for output in classes.outputs_equal_to(part) if output != name]
        if not equal:
            missing.append(part)
            return part
        return exp.column(equal[0], table="R")

    changed = expression.copy().transform(of_outputs)
    return None if missing or not occurrences(changed) else {"uses": used(changed), "sql": operand(changed)}


def links(found, never_null):
    """For each table how its rows are found from a row of the model; the same way of several derivations is one."""
    ways = {}
    for derivation, classes in found:
        for occurrence, table in derivation.tables.items():
            way = way_of(occurrence, derivation, classes, never_null)
            # A row that nothing leads to belongs to the row only where rows are put together.
            if way["on"] or "grouped" in way:
                ways.setdefault(repr(way), {"table": table, **way})
    return list(ways.values())


def way_of(occurrence, derivation, classes, never_null):
    way = {"on": conditions_of(occurrence, derivation, classes, never_null)}
    where = [condition for condition in derivation.conditions if is_filter(condition, occurrence)]
    if where:
        way["where"] = [as_theirs(condition) for condition in where]
    when = [
        {"ours": name, "constant": text(expression)}
        for name, expression in derivation.outputs.items()
        if isinstance(expression, (exp.Literal, exp.Boolean))
    ]
    if when:
        way["when"] = when
    if occurrence in derivation.grouped:
        way["grouped"] = True
    order = derivation.orders.get(occurrence)
    if order and all(occurrences(term) == {occurrence} for term in order):
        way["first_by"] = [as_theirs(term) for term in order]
    return way


def is_filter(condition, occurrence):
    """A condition on the table's own columns; an equality with a constant is a condition of the link already."""
    return occurrences(condition) == {occurrence} and is_of_a_row(condition) and not isinstance(condition.unnest(), exp.EQ)


def conditions_of(occurrence, derivation, classes, never_null):
    """Equalities between a term of the table (T) and a column of the model or a constant."""
    conditions = []
    for terms in classes.listed():
        theirs = sorted((term for term in terms if occurrences(term) == {occurrence} and is_of_a_row(term)), key=lambda term: len(text(term)))
        ours = [term.name for term in terms if is_output(term)]
        constants = [text(term) for term in terms if isinstance(term, (exp.Literal, exp.Boolean))]
        if theirs and ours:
            # What the column is made of says more than what it was joined by: it holds of NULL, too.
            exact = [name for name in ours if occurrences(derivation.outputs[name]) == {occurrence}]
            name = (exact or ours)[0]
            term = derivation.outputs[name] if exact else theirs[0]
            condition = {"theirs": as_theirs(term), "ours": name}
            if exact and name not in never_null:
                condition["nullable"] = True
            conditions.append((term, condition))
        elif theirs and constants:
            conditions.append((theirs[0], {"theirs": as_theirs(theirs[0]), "constant": constants[0]}))
    plain = {term.name for term, _ in conditions if isinstance(term, exp.Column)}
    return [
        condition
        for term, condition in conditions
        # What is worked out from columns that are compared anyway adds nothing.
        if isinstance(term, exp.Column) or not {leaf.name for leaf in term.find_all(exp.Column)} <= plain
    ]


def as_theirs(term):
    changed = term.copy()
    for leaf in changed.find_all(exp.Column):
        leaf.set("table", exp.to_identifier("T"))
    return operand(changed)
