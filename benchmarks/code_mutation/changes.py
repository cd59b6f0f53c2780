"""Changes to the source: which places may be changed, into what, and a sample of them."""

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).parents[2]

ROOMS = ("theory", "empirical", "models", "checks")
STRATA = {
    "theory": ["theory/*.py"],
    "theory: claims and proofs": ["theory/claims/*.py", "theory/proofs/*.py"],
    "empirical": ["empirical/*.py", "empirical/*/*.py"],
    "models": ["models/*.py"],
    "checks: statistics": ["checks/statistics.py", "checks/records.py"],
    "checks": ["checks/*.py", "checks/*/*.py"],
}
"""Files of each row of the table; a file belongs to the first that names it."""

LEFT_OUT = {
    "checks/report/drawing.py": "the style of figures",
    "checks/report/figures.py": "where figures put lines and words",
    "checks/report/image_grids.py": "where grids of images put their tiles",
    "checks/mutants/*.py": "wrong on purpose",
}
"""Files that are not changed, and why. Nor are functions that draw on matplotlib's axes."""


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of the source: where, of which kind, from what to what."""

    path: str
    """Below the repository, with slashes."""
    line: int
    column: int
    """Both as in Python's syntax tree: from 1, and in bytes from 0."""
    kind: str
    source: str
    """The part that is changed, on one line."""
    change: str
    function: str
    """The lines ``first-last`` of the innermost function around it; empty outside of functions."""
    last: int
    """Last line of the part that is changed."""
    statement: str
    """First line of the statement."""


SWAPPED_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
PAIRS = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("amin", "amax"),
    ("argmin", "argmax"),
    ("fmin", "fmax"),
    ("any", "all"),
    ("floor", "ceil"),
    ("sum", "mean"),
    ("cdf", "sf"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("sin", "cos"),
    ("log", "log1p"),
    ("exp", "expm1"),
]
SWAPPED_NAMES = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
SWAPPED_WORDS = {"<=": ">=", ">=": "<=", "==": "<=", "left": "right", "right": "left"}
DROPPED_FUNCTIONS = {"sqrt", "abs", "square"}


def alternatives(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every change of one node: its kind, and what stands there instead."""
    match node:
        case ast.Constant(value=bool() as value):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int() as value):
            for other in {value + 1, value - 1, 2 * value} - {value}:
                yield "constant", ast.Constant(other)
        case ast.Constant(value=float() as value):
            for factor in (2, 0.5, 1.1) if value else ():
                yield "constant", ast.Constant(value * factor)
            yield "constant", ast.Constant(value + 1)
        case ast.Constant(value=str() as value) if value in SWAPPED_WORDS:
            yield "constant", ast.Constant(SWAPPED_WORDS[value])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "sign", operand
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            yield "negation dropped", operand
        case ast.BinOp(left=left, op=op, right=right):
            if other := SWAPPED_OPERATORS.get(type(op)):
                yield "operator", ast.BinOp(left, other(), right)
            yield "term dropped", left
            if isinstance(op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr):
                yield "term dropped", right
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in SWAPPED_OPERATORS:
            yield "operator", ast.AugAssign(target, SWAPPED_OPERATORS[type(op)](), value)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for i, op in enumerate(ops):
                changed = [*ops[:i], SWAPPED_OPERATORS[type(op)](), *ops[i + 1 :]]
                yield "comparison", ast.Compare(left, changed, comparators)
        case ast.BoolOp(op=op, values=values):
            yield "connective", ast.BoolOp(SWAPPED_OPERATORS[type(op)](), values)
            for i in range(len(values)):
                rest = [*values[:i], *values[i + 1 :]]
                yield "condition dropped", ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
        case ast.Call(func=ast.Name() | ast.Attribute() as function, args=arguments):
            name = function.id if isinstance(function, ast.Name) else function.attr
            if name in SWAPPED_NAMES:
                other_name = SWAPPED_NAMES[name]
                if isinstance(function, ast.Name):
                    swapped: ast.expr = ast.Name(other_name)
                else:
                    swapped = ast.Attribute(function.value, other_name)
                yield "function swapped", ast.Call(swapped, arguments, node.keywords)
            if name in DROPPED_FUNCTIONS and arguments:
                yield "function dropped", arguments[0]
            if name == "range" and arguments:
                end = 0 if len(arguments) == 1 else 1
                shorter = ast.BinOp(arguments[end], ast.Sub(), ast.Constant(1))
                changed_arguments = [*arguments[:end], shorter, *arguments[end + 1 :]]
                yield "off by one", ast.Call(function, changed_arguments, [])


class Sites(ast.NodeVisitor):
    """The nodes of a module that may be changed, each with the function and statement it is in.

    Left out: strings and what builds messages (f-strings, `raise`, `warn`), annotations,
    decorators, `__all__`, imports, `zip`'s `strict`, and functions that draw on axes.
    """

    def __init__(self) -> None:
        self.found: list[tuple[ast.AST, str, ast.stmt]] = []
        self.function = ""
        self.statement: ast.stmt = ast.Pass(lineno=1)

    def visit(self, node: ast.AST) -> None:
        """Keep the node, the function and the statement around it."""
        if isinstance(node, ast.stmt):
            self.statement = node
        if hasattr(node, "lineno"):
            self.found.append((node, self.function, self.statement))
        super().visit(node)

    def _skip(self, node: ast.AST) -> None:
        """Nothing below is changed."""

    visit_JoinedStr = visit_Raise = visit_Import = visit_ImportFrom = _skip

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """The value, not the annotation."""
        if node.value:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        """The test also as a whole: a guard dropped, a condition turned round."""
        if len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and not node.orelse:
            self.found.append((Guard(node.test), self.function, self.statement))
        if isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
            self.found.append((Condition(node.test), self.function, self.statement))
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Not messages, and not `strict`."""
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in {"warn", "print", "TypeVar"}:
            return
        self.visit(node.func)
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg != "strict":
                self.visit(keyword.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Defaults and body."""
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        annotations = [ast.unparse(a.annotation) for a in named if a.annotation]
        if any(name in text for text in annotations for name in ("Axes", "Figure")):
            return
        outer, self.function = self.function, f"{node.body[0].lineno}-{node.end_lineno}"
        for default in [*arguments.defaults, *filter(None, arguments.kw_defaults)]:
            self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self.function = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """The body."""
        for statement in node.body:
            self.visit(statement)


class Guard(ast.AST):
    """The test of an `if` that only raises."""

    def __init__(self, test: ast.expr) -> None:
        self.test = test


class Condition(Guard):
    """The test of an `if` that is no comparison."""


def mutants(path: str, text: str) -> Iterator[list[Mutant]]:
    """For each place of a module: the changes of one kind that are possible there."""
    lines = text.splitlines()
    sites = Sites()
    sites.visit(ast.parse(text))
    for found, function, statement in sites.found:
        node = found.test if isinstance(found, Guard) else found
        if isinstance(found, Condition):
            changes = [("condition", ast.UnaryOp(ast.Not(), node))]
        elif isinstance(found, Guard):
            changes = [("guard dropped", ast.Constant(False))]
        else:
            changes = list(alternatives(found))
        kinds: dict[str, list[Mutant]] = {}
        for kind, other in changes:
            change = ast.unparse(ast.fix_missing_locations(other))
            at = (path, node.lineno, node.col_offset, kind, ast.unparse(node), change)
            mutant = Mutant(
                *at, function, node.end_lineno or node.lineno, lines[statement.lineno - 1].strip()
            )
            kinds.setdefault(kind, []).append(mutant)
        yield from kinds.values()


def apply(mutant: Mutant, text: str) -> str:
    """The module with the change made; lines keep their numbers from the next statement on."""
    data = text.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    start = starts[mutant.line - 1] + mutant.column
    for node in ast.walk(ast.parse(text)):
        place = (getattr(node, "lineno", 0), getattr(node, "col_offset", -1))
        if place == (mutant.line, mutant.column) and ast.unparse(node) == mutant.source:
            end = starts[node.end_lineno - 1] + node.end_col_offset
            break
    else:
        raise ValueError(f"{mutant.path}:{mutant.line} has no {mutant.source}: another version?")
    whole = mutant.kind == "operator" and isinstance(node, ast.AugAssign)
    change = mutant.change if whole else f"({mutant.change})"
    changed = (data[:start] + change.encode() + data[end:]).decode()
    ast.parse(changed)
    return changed


def population(patterns: list[str]) -> dict[str, list[list[Mutant]]]:
    """The places that may be changed, by stratum."""
    strata: dict[str, list[list[Mutant]]] = {name: [] for name in STRATA}
    seen: set[str] = set()
    for name, globs in STRATA.items():
        for path in sorted({p for glob in globs for p in REPOSITORY.glob(glob)}):
            relative = path.relative_to(REPOSITORY).as_posix()
            left_out = any(PurePosixPath(relative).match(glob) for glob in LEFT_OUT)
            wanted = not patterns or any(PurePosixPath(relative).match(p) for p in patterns)
            if relative in seen or left_out or not wanted:
                continue
            seen.add(relative)
            strata[name] += mutants(relative, path.read_text(encoding="utf-8"))
    return {name: places for name, places in strata.items() if places}


def sample(strata: dict[str, list[list[Mutant]]], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants, as many of each stratum as of every other, in turn."""
    chosen = []
    for name, places in strata.items():
        rng = random.Random(f"{seed} {name}")
        drawn = rng.sample(places, min(len(places), -(-count // len(strata))))
        chosen.append([rng.choice(place) for place in drawn])
    longest = max(map(len, chosen))
    turns = [row[i] for i in range(longest) for row in chosen if i < len(row)]
    return turns[:count]
