"""The shell of `tallyhouse sql`: statements up to a semicolon, history, completion, the newest night at a prompt."""

from __future__ import annotations

import os
import readline
import shutil
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import duckdb

from assets import reader
from assets.core.instants import format_instant
from assets.core.page import Text
from assets.core.refusal import Refusal
from orchestration import examples
from orchestration.commands.sql import tell
from orchestration.voice import Voice

HELP = """\
A statement ends with ; and may take several lines. Ctrl-C drops it, Ctrl-D leaves.
  .tables            what there is, and what a row of it is
  .columns TABLE     the columns of a table, and what they mean
  .examples          questions with a query for each
  .example NAME      run one of them
  .help  .quit"""

_TABLES = "SELECT table_name, comment FROM duckdb_tables() WHERE schema_name = 'billing' ORDER BY 1"
_COLUMNS = """
    SELECT column_name, lower(data_type) || '. ' || coalesce(comment, '') FROM duckdb_columns()
    WHERE schema_name = 'billing' AND table_name = ? ORDER BY column_index"""
_WORDS = "select from where group by all order having join using left limit distinct count sum filter over with as desc"


class Shell:
    def __init__(self, workspace: Path, voice: Voice) -> None:
        self.workspace = workspace
        self.voice = voice
        self.stack = ExitStack()
        self.opened: tuple[int, int] | None = None
        self.words: list[str] = []

    def run(self) -> None:
        with self.stack, _history(self._complete):
            self._newest()
            print("Ask billing.* in SQL; .help says more.")
            while (statement := self._read()) is not None:
                try:
                    self._newest()
                    self._answer(statement)
                except Refusal as refusal:
                    for problem in refusal.problems:
                        self.voice.complain("refused", problem)
                except KeyboardInterrupt:
                    print("stopped")

    def _newest(self) -> None:
        """Open the published file; again where a night has put another in its place since."""
        found = reader.published_file(self.workspace).stat()
        if self.opened == (found.st_ino, found.st_mtime_ns):
            return
        self.stack.close()
        self.con: duckdb.DuckDBPyConnection = self.stack.enter_context(reader.opened(self.workspace))
        self.opened = (found.st_ino, found.st_mtime_ns)
        night = self.con.execute("SELECT max(as_of) FROM runs").fetchone()
        print(f"The books as of {format_instant(night[0]) if night and night[0] else 'no night'}.")
        names = self.con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'billing'"
            " UNION SELECT column_name FROM duckdb_columns()"
            " WHERE schema_name = 'billing' ORDER BY 1"
        ).fetchall()
        self.words = [*(name for (name,) in names), *_WORDS.split(), *HELP.split(), *examples.examples()]

    def _read(self) -> str | None:
        """The next statement or dot command; None at the end."""
        lines: list[str] = []
        while True:
            try:
                line = input("   ...> " if lines else "billing> ")
            except EOFError:
                print()
                return None
            except KeyboardInterrupt:
                print()
                lines.clear()
                continue
            if not lines and line.strip() in (".quit", ".exit"):
                return None
            lines.append(line)
            text = "\n".join(lines).strip()
            if not text:
                lines.clear()
            elif text.startswith(".") or text.endswith(";"):
                return text

    def _answer(self, statement: str) -> None:
        command, _, rest = statement.rstrip(";").partition(" ")
        rest = rest.strip()
        if command == ".help":
            self.voice.show([Text(HELP)])
        elif command == ".tables":
            self._describe(_TABLES, [])
        elif command == ".columns":
            self._describe(_COLUMNS, [rest])
        elif command == ".examples":
            examples.listed(self.voice)
        elif command == ".example":
            found = examples.find(rest)
            self.voice.show([Text(found.question), Text(found.reading)])
            print()
            self._ask(found.sql)
        elif command.startswith("."):
            raise Refusal(f"There is no command {command}; .help names them all.")
        else:
            self._ask(statement)

    def _describe(self, sql: str, values: list[str]) -> None:
        """Names, and what they mean beside them, wrapped to the terminal."""
        found = self.con.execute(sql, values).fetchall()
        if not found:
            raise Refusal(f"There is no table {values[0]!r}; .tables names them all.")
        indent = max(len(name) for name, _ in found) + 2
        width = max(shutil.get_terminal_size().columns - indent, 40)
        for name, means in found:
            first, *others = textwrap.wrap(means or "", width) or [""]
            print(f"{name:<{indent}}{first}", *(" " * indent + line for line in others), sep="\n")

    def _ask(self, sql: str) -> None:
        for answer in reader.answers(self.con, sql):
            tell(self.voice, answer)

    def _complete(self, start: str, number: int) -> str | None:
        found = [word for word in self.words if word.startswith(start.lower())]
        return found[number] if number < len(found) else None


@contextmanager
def _history(completer: Callable[[str, int], str | None]) -> Iterator[None]:
    """Lines of earlier shells above the prompt, and the names there are under the Tab key."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    file = state / "tallyhouse" / "sql_history"
    readline.set_completer(completer)
    readline.set_completer_delims(" \t\n,();=<>'\"")
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(2000)
    with suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        with suppress(OSError):  # a home that can't be written keeps nothing
            file.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(file)
