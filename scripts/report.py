"""Turn runs of the bench into what docs/performance.md shows: charts, and a table of the goals.

    python -m chaser_server bench --json docs/performance/run-1.jsonl      (and 2, and 3)
    python scripts/report.py docs/performance/run-*.jsonl

    python -m chaser_server bench cost trials --json docs/performance/trials.jsonl
    python scripts/report.py docs/performance/trials.jsonl --into docs/performance.md

Charts go to docs/images, tables to stdout. Charts are of the medians of the runs. What is measured only when it is
named is told of one run, the last; with `--into` its tables also replace those in a file behind `<!-- PART -->`.
"""

import argparse
import json
import math
import re
import statistics
from collections import defaultdict
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update(
    {"svg.hashsalt": "chaser", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
)

from matplotlib import pyplot  # noqa: E402  # behind the choice of its output
from matplotlib.figure import Figure  # noqa: E402

from chaser_server.bench.suite import NAMED_ONLY  # noqa: E402

Row = dict[str, Any]

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
COLOURS = {
    "bare": "#9aa3ad", "pool": "#1f6feb", "light pool": "#6fb98f", "cold": "#8250df", "light": "#1a7f5a",
    "default": "#8250df",
}  # fmt: skip
SHADES = {"create": "#1f6feb", "connect": "#54a3ff", "goto": "#a5d0ff", "release": "#d0d7de"}
LABELS = {
    "bare": "bare Chromium", "cold": "default, cold", "light": "light, cold", "pool": "default, from the pool",
    "light pool": "light, from the pool",
}  # fmt: skip


def rows_of(paths: list[str]) -> dict[str, list[Row]]:
    """All rows of all runs, by their kind."""
    found: dict[str, list[Row]] = defaultdict(list)
    for run, path in enumerate(paths):
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found[row["bench"]].append({**row, "run": run})
    return found


def middle(rows: list[Row], field: str, **where: object) -> float:
    """The median over the runs of the field of the rows that have these values, and a figure; NaN if none has."""
    mine = [row[field] for row in rows if all(row[name] == value for name, value in where.items())]
    return statistics.median([value for value in mine if value is not None] or [math.nan])


def ways_in(rows: list[Row], **where: object) -> list[str]:
    """The ways for which the rows that have these values have a figure, in the order they are shown in."""
    return [way for way in LABELS if not math.isnan(middle(rows, "p50", way=way, stage="total", **where))]


def save(figure: Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(IMAGES / f"performance-{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def stages(rows: list[Row]) -> None:
    """One session at a time: where its time goes, way by way."""
    figure, axes = pyplot.subplots(figsize=(7.2, 2.4))
    ways = ways_in(rows, concurrency=1)
    for height, way in enumerate(reversed(ways)):
        left = 0.0
        for stage, shade in SHADES.items():
            width = middle(rows, "p50", way=way, stage=stage, concurrency=1)
            axes.barh(height, width, left=left, color=shade, label=stage if height == 0 else None)
            left += width
        axes.text(left + 4, height, f"{left:.0f} ms", va="center")
    axes.set_yticks(range(len(ways)), [LABELS[way] for way in reversed(ways)])
    axes.set_xlabel("milliseconds, one session at a time (medians)")
    axes.legend(ncols=4, frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    save(figure, "stages")


def concurrency(rows: list[Row]) -> None:
    """All stages together, for one, four and eight sessions that begin at once."""
    figure, axes = pyplot.subplots(figsize=(7.2, 2.8))
    counts = sorted({row["concurrency"] for row in rows})
    ways = ways_in(rows)
    width = 0.8 / max(1, len(ways))
    for shift, way in enumerate(ways):
        places = [place + (shift - (len(ways) - 1) / 2) * width for place in range(len(counts))]
        p50 = [middle(rows, "p50", way=way, stage="total", concurrency=count) for count in counts]
        p95 = [middle(rows, "p95", way=way, stage="total", concurrency=count) for count in counts]
        axes.bar(places, p50, width * 0.9, color=COLOURS[way], label=LABELS[way])
        axes.errorbar(places, p50, [[0] * len(counts), [high - low for low, high in zip(p50, p95, strict=True)]],
                      fmt="none", ecolor="#57606a", capsize=2)  # fmt: skip
    axes.set_xticks(range(len(counts)), [f"{count} at once" for count in counts])
    axes.set_yscale("log")
    axes.set_ylabel("ms, p50 (whisker: p95)")
    axes.legend(ncols=2, frameon=False)
    save(figure, "concurrency")


def memory(rows: list[Row]) -> None:
    """Megabytes of each idle browser, by how many stand there."""
    figure, axes = pyplot.subplots(figsize=(7.2, 2.4))
    counts = sorted({row["sessions"] for row in rows})
    for way in ("bare", "default", "light"):
        each = [middle(rows, "megabytes_each", way=way, sessions=count) for count in counts]
        axes.plot(counts, each, marker="o", color=COLOURS[way], label=way)
    axes.set_xticks(counts)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("idle sessions")
    axes.set_ylabel("MB each (PSS)")
    axes.legend(ncols=3, frameon=False)
    save(figure, "memory")


def crowding(rows: list[Row]) -> None:
    """What many at once do to the 95th percentile of all stages, way by way, as Markdown."""
    counts = sorted({row["concurrency"] for row in rows} - {1})
    print("| all stages, p95, to that of one at a time | " + " | ".join(f"{count} at once" for count in counts) + " |")
    print("|---|" + "---|" * len(counts))
    for way in ways_in(rows, concurrency=1):
        alone = middle(rows, "p95", way=way, stage="total", concurrency=1)
        many = [middle(rows, "p95", way=way, stage="total", concurrency=count) / alone for count in counts]
        shown = ["–" if math.isnan(ratio) else f"{ratio:.1f}x" for ratio in many]
        print(f"| {LABELS[way]} | " + " | ".join(shown) + " |")
    print()


def goals(rows: list[Row], runs: int) -> None:
    """Every goal with what each run found, as Markdown; a run that found nothing has not reached it."""
    print("| goal | to reach | " + " | ".join(f"run {run + 1}" for run in range(runs)) + " | |")
    print("|---|---|" + "---|" * (runs + 1))
    for goal in dict.fromkeys(row["goal"] for row in rows):
        mine = {row["run"]: row for row in rows if row["goal"] == goal}
        found = [measured(mine.get(run)) for run in range(runs)]
        reached = sum(row["reached"] for row in mine.values())
        verdict = "reached" if reached == runs else f"**reached in {reached} of {runs}**"
        print(f"| {goal} | {next(iter(mine.values()))['bound']} | {' | '.join(found)} | {verdict} |")


def measured(verdict: Row | None) -> str:
    """The figure of one run, and how often what it is of failed."""
    if verdict is None:
        return "–"
    failures = verdict.get("failures", 0)
    figure = "–" if verdict["measured"] is None else f"{verdict['measured']:.2f}{verdict['unit']}"
    return figure + (f", {failures} failed" if failures else "")


def named_only(rows: dict[str, list[Row]]) -> dict[str, str]:
    """The tables of the parts that run only when named, as these show them themselves, of the last run with any."""
    tables = {}
    for part, (room, _) in NAMED_ONLY.items():
        kinds = {kind: rows[kind.__name__] for kind in rows_of_room(room)}
        last = max((row["run"] for found in kinds.values() for row in found), default=None)
        if last is not None:
            tables[part] = room.table([row for kind, found in kinds.items() for row in restored(kind, found, last)])
    return tables


def replace_tables(file: Path, tables: dict[str, str]) -> None:
    """Put each table in the place of the one behind the mark of its part, up to the next paragraph that is none."""
    text = file.read_text(encoding="utf-8")
    for part, table in tables.items():
        mark = f"<!-- {part} -->\n"
        old = rf"{re.escape(mark)}(\n*\|[^\n]*)*\n*"
        text = re.sub(old, lambda _, new=f"{mark}\n{table}\n\n": new, text)
    file.write_text(text, encoding="utf-8")


def rows_of_room(room: ModuleType) -> list[type]:
    """The kinds of rows that a room of the bench makes."""
    return [kind for kind in vars(room).values() if is_dataclass(kind) and kind.__module__ == room.__name__]


def restored(kind: type, rows: list[Row], run: int) -> list[Any]:
    """A run's rows of one kind, as they were before they became JSON."""
    names = [field.name for field in fields(kind)]
    values = [[row[name] for name in names] for row in rows if row["run"] == run]
    return [kind(*(math.nan if value is None else value for value in each)) for each in values]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Turn runs of the bench into charts and tables.")
    parser.add_argument("runs", nargs="+", metavar="FILE")
    parser.add_argument("--into", type=Path, metavar="FILE", help="where tables behind marks are replaced")
    options = parser.parse_args()
    found = rows_of(options.runs)
    for show, kind in ((stages, "Stage"), (concurrency, "Stage"), (memory, "Idle"), (crowding, "Stage")):
        if found[kind]:  # the part may have failed in every run
            show(found[kind])
    if found["Verdict"]:
        goals(found["Verdict"], len(options.runs))
    tables = named_only(found)
    for part, text in tables.items():
        print(f"\n{part}\n\n{text}")
    if options.into:
        replace_tables(options.into, tables)
