"""Find names that a program reads where they may not be bound.

Stricter than Python: names bound in a branch, a loop or a `with` are not bound after
it, and a function sees only its parameters, the names that it binds, and functions and
classes defined before it (a nested function also the names around it).
"""

import ast
import builtins
from collections.abc import Set
from dataclasses import dataclass, field


@dataclass
class Names:
    """The names bound at a point: values, and those defined by def and class."""

    values: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=lambda: set(dir(builtins)))

    def inside(self, more: Set[str] = frozenset()) -> "Names":
        return Names(self.values | more, set(self.defined))

    def lacks(self, names: set[str]) -> set[str]:
        return names - self.values - self.defined


def unbound(program: str) -> set[str]:
    missing: set[str] = set()
    block(ast.parse(program).body, Names(), missing)
    return missing


def block(body: list[ast.stmt], known: Names, missing: set[str]) -> None:
    """Read statements in order, and add the names that they bind to `known`."""
    for statement in body:
        match statement:
            case ast.FunctionDef():
                function(statement, known, missing)
            case ast.ClassDef():
                known.defined.add(statement.name)
                block(statement.body, Names(set(), set(known.defined)), missing)
            case ast.If() | ast.While():
                read(statement.test, known, missing)
                block(statement.body, known.inside(), missing)
                block(statement.orelse, known.inside(), missing)
            case ast.For():
                read(statement.iter, known, missing)
                block(statement.body, known.inside(bound(statement.target)), missing)
            case ast.With():
                inner = known.inside()
                for item in statement.items:
                    read(item.context_expr, known, missing)
                    inner.values |= bound(item.optional_vars)
                block(statement.body, inner, missing)
            case _:
                read(statement, known, missing)
                known.values |= bound(statement)


def function(made: ast.FunctionDef, known: Names, missing: set[str]) -> None:
    for value in made.args.defaults:
        read(value, known, missing)
    arguments = {argument.arg for argument in made.args.args}
    nested = made.col_offset > 0 and "self" not in arguments
    around = known.values if nested else set()
    block(made.body, Names(around | arguments, {*known.defined, made.name}), missing)
    known.defined.add(made.name)


def bound(node: ast.AST | None) -> set[str]:
    return {
        part.id
        for part in (ast.walk(node) if node else ())
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }


def read(node: ast.AST, known: Names, missing: set[str]) -> None:
    """Names that an expression or a simple statement reads, or changes by `+=`."""
    if isinstance(node, ast.Lambda):
        arguments = {argument.arg for argument in node.args.args}
        read(node.body, known.inside(arguments), missing)
        return
    if isinstance(node, ast.AugAssign):
        missing |= known.lacks(bound(node.target))
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        missing |= known.lacks({node.id})
    for part in ast.iter_child_nodes(node):
        read(part, known, missing)
