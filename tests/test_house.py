"""The house stands as drawn: imports go down or stay in their room, and rooms keep to their own words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import chaser_server

PACKAGE = Path(chaser_server.__file__).parent
LAYERS = [
    ["__main__", "cli", "commands", "doctor", "doctor_report", "install", "bench", "testing"],
    ["app"],
    ["web"],
    ["sessions"],
    ["substrate"],
    ["sandbox", "chromium", "display", "egress", "relay", "live"],
    ["store"],
    [
        "model",
        "errors",
        "config",
        "config_file",
        "lifecycle",
        "limits",
        "tokens",
        "signing",
        "logs",
        "machine",
        "obstacles",
        "ports",
        "descriptors",
    ],
]
DOORS, MACHINES, GROUND = LAYERS[0], LAYERS[5], LAYERS[-1]
HEIGHT = {room: -number for number, rooms in enumerate(LAYERS) for room in rooms}
SQL = re.compile(r"\b(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE|"
                 r"ALTER\s+TABLE|PRAGMA\s+\w+)\b", re.DOTALL)  # fmt: skip

MODULES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
TREES = {name: ast.parse(path.read_text(), str(path)) for name, path in MODULES.items()}


def room_of(module: str) -> str:
    """`chaser_server.egress.proxy` is in the room `egress`; the package itself is in none."""
    return [*module.split("."), ""][1]


def imported(node: ast.AST, module: str) -> Iterator[str]:
    """Yield the absolute names that one statement imports, each module and each name asked of it."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module}: imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def our_module(name: str) -> str | None:
    """Return the module of ours behind an imported name: `…errors.NotFound` comes from `…errors`."""
    while name:
        if name in MODULES or f"{name}.__init__" in MODULES:
            return name
        name = name.rpartition(".")[0]
    return None


def edges(*, at_import_time: bool) -> Iterator[tuple[str, str]]:
    for module, tree in TREES.items():
        for node in top_level(tree) if at_import_time else ast.walk(tree):
            for name in imported(node, module):
                if (target := our_module(name)) and target != "chaser_server":
                    yield module.removesuffix(".__init__"), target


def top_level(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements that run when a module is imported: not the bodies of functions or of TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from top_level(node)


def test_every_module_is_in_a_room_of_the_drawing() -> None:
    rooms = {room_of(module) for module in MODULES} - {"", "__init__"}
    assert rooms <= set(HEIGHT)


def test_imports_go_down_or_stay_in_their_room() -> None:
    upward = [
        f"{module} -> {target}"
        for module, target in edges(at_import_time=False)
        if room_of(module) in HEIGHT
        and room_of(module) != room_of(target)
        and HEIGHT[room_of(module)] <= HEIGHT[room_of(target)]
        and not (room_of(module) in GROUND and room_of(target) in GROUND)
        and not (room_of(module) in DOORS and room_of(target) in DOORS)
    ]
    assert upward == []


def test_machine_rooms_import_nothing_of_ours_but_the_ground() -> None:
    strangers = [
        f"{module} -> {target}"
        for module, target in edges(at_import_time=False)
        if room_of(module) in MACHINES and room_of(target) not in (room_of(module), *GROUND)
    ]
    assert strangers == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    waiting: dict[str, set[str]] = {module.removesuffix(".__init__"): set() for module in MODULES}
    for module, target in edges(at_import_time=True):
        if module != target:
            waiting[module].add(target)
    while free := [module for module, needs in waiting.items() if not needs & waiting.keys()]:
        for module in free:
            del waiting[module]
    assert waiting == {}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_the_store_speaks_sql(module: str) -> None:
    if room_of(module) == "store":
        return
    strings = [node.value for node in ast.walk(TREES[module]) if isinstance(node, ast.Constant)]
    assert [text for text in strings if isinstance(text, str) and SQL.search(text)] == []


def test_no_module_imports_the_playwright_driver_when_it_is_imported() -> None:
    eager = [
        module
        for module, tree in TREES.items()
        for node in top_level(tree)
        for name in imported(node, module)
        if name.split(".")[0] in ("playwright", "patchright")
    ]
    assert eager == []
