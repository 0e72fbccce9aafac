"""What a command costs: seconds by the clock and of the processors, the most memory its processes held at once.

A sampler adds up the memory of the whole tree of processes ten times a second, counting once what they share; the most
that any of them has held by the system's own account counts where it is more. Elsewhere than on Linux there is only
what the system says of the command at its end.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent.parent
_EVERY = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEMORY = re.compile(r"^(RssAnon|RssFile|RssShmem|VmHWM):\s+(\d+) kB$", re.MULTILINE)
_TICK = os.sysconf("SC_CLK_TCK")
MOST = os.sysconf("SC_PHYS_PAGES") * _PAGE * 7 // 10


@dataclass(frozen=True, slots=True)
class Cost:
    wall: float
    busy: float
    peak_mb: int
    steps: Mapping[str, float] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)  # the last line of JSON


class Failed(Exception):
    """A command that did not end well, as a sentence."""


def module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"tests.benchmarks.{name}", *map(str, arguments)]


def measured(command: Sequence[str], environment: Mapping[str, str] | None = None, beside: int | None = None) -> Cost:
    """Run a command to its end; `beside` is a server that works for it. JSON lines it writes are its steps."""
    told = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    before = _busy_of(beside) if beside else 0.0
    with tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=told, cwd=ROOT)
        with _Sampler(child, beside) as sampler:
            assert child.stdout is not None
            steps, said = _steps(child.stdout, started)
            child.stdout.close()
            _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if sampler.is_too_much:
            raise Failed(f"ended: it held more than {MOST >> 30} GB of memory")
        if child.returncode:
            errors.seek(0)
            why = f"{said.get('message', '')}\n{errors.read()[-2000:]}".strip()
            raise Failed(f"{' '.join(command)} ended with {child.returncode}: {why}")
    busy = used.ru_utime + used.ru_stime + (_busy_of(beside) - before if beside else 0.0)
    return Cost(wall, busy, (sampler.peak or used.ru_maxrss * 1024) >> 20, steps, said)


def median(costs: Iterable[Cost]) -> Cost:
    """Of several rounds: medians of the seconds, the most memory of all."""
    found = list(costs)
    steps = {name: statistics.median(it.steps.get(name, 0.0) for it in found) for name in found[0].steps}
    wall, busy = (statistics.median(each) for each in ([it.wall for it in found], [it.busy for it in found]))
    return Cost(wall, busy, max(it.peak_mb for it in found), steps)


def ratio(ours: Sequence[Cost], theirs: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    """The median of the rounds' own ratios: what slows a round down slows both."""
    return statistics.median(of(own) / of(base) for own, base in zip(ours, theirs, strict=True))


def _steps(lines: IO[str], started: float) -> tuple[dict[str, float], dict[str, Any]]:
    """The seconds from each thing said to the next, by the name of the latter; and the last thing said."""
    steps: dict[str, float] = {}
    said: dict[str, Any] = {}
    last = started
    for line in lines:
        try:
            event: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") not in (None, "warning"):
            now = time.perf_counter()
            steps[event["event"]] = steps.get(event["event"], 0.0) + now - last
            last, said = now, event
    return steps, said


class _Sampler:
    """The most memory that a child, all it starts and a server beside it hold at once, in bytes.

    A child that takes most of the machine's memory is ended before the system ends somebody else.
    """

    def __init__(self, child: subprocess.Popen[str], beside: int | None) -> None:
        self.child, self.peak, self.is_too_much = child, 0, False
        self.roots = [child.pid, *([beside] if beside else [])]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(_EVERY):
            held = [_memory_of(pid) for root in self.roots for pid in _tree(root)]
            own, shared, most = zip(*held, strict=True)
            self.peak = max(self.peak, sum(own) + max(shared), *most)
            if self.peak > MOST:
                self.is_too_much = True
                self.child.kill()
                return


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:  # it has ended
                continue
    return found


def _memory_of(pid: int) -> tuple[int, int, int]:
    """A process's own memory, what it shares, and the most it has held, in bytes; nothing where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0, 0
    held = {name: int(size) << 10 for name, size in _MEMORY.findall(status)}
    return held.get("RssAnon", 0), held.get("RssFile", 0) + held.get("RssShmem", 0), held.get("VmHWM", 0)


def _busy_of(root: int) -> float:
    """Processor seconds of a server, its processes and those that have ended."""
    ticks = 0
    for pid in _tree(root):
        try:
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        except OSError:
            continue
    return ticks / _TICK
