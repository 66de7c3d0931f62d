"""Which names a program reads before anything could have bound them."""

import ast
import builtins


def undefined(program: str) -> set[str]:
    """Names read that no earlier line of the program (nor a builtin) binds.

    Lines are taken in order, a function's parameters as bound within it and after:
    coarser than Python's rules where a function hides a name, exact for programs that
    bind each name once.
    """
    known = set(dir(builtins))
    missing: set[str] = set()

    def bind(node: ast.AST) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                known.add(part.id)

    def read(node: ast.AST | None) -> None:
        if node is None:
            return
        for part in ast.walk(node):
            if isinstance(part, ast.Lambda):
                known.update(arg.arg for arg in part.args.args)
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                missing.update({part.id} - known)

    def block(body: list[ast.stmt]) -> None:
        for statement in body:
            match statement:
                case ast.FunctionDef():
                    known.add(statement.name)
                    known.update(arg.arg for arg in statement.args.args)
                    block(statement.body)
                case ast.ClassDef():
                    known.add(statement.name)
                    block(statement.body)
                case ast.For():
                    read(statement.iter)
                    bind(statement.target)
                    block(statement.body + statement.orelse)
                case ast.While() | ast.If():
                    read(statement.test)
                    block(statement.body + statement.orelse)
                case ast.With():
                    for item in statement.items:
                        read(item.context_expr)
                        if item.optional_vars:
                            bind(item.optional_vars)
                    block(statement.body)
                case _:
                    read(statement)
                    if isinstance(statement, ast.AugAssign):
                        target = statement.target
                        assert isinstance(target, ast.Name)
                        missing.update({target.id} - known)
                    bind(statement)

    block(ast.parse(program).body)
    return missing
