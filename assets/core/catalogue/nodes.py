"""YAML files as nodes that know where they stand and what was written.

A scalar keeps its text, so that 0.1 is one tenth and not the binary fraction next to it, and a key given
twice is a mistake and not the last one's win. YAML is read as version 1.2: only true and false are
booleans.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from assets.core.catalogue.problems import Problems, shown

Kind: TypeAlias = Literal["null", "bool", "number", "text", "map", "list"]

_KINDS: dict[str, Kind] = {
    "null": "null",
    "bool": "bool",
    "int": "number",
    "float": "number",
    "str": "text",
    "timestamp": "text",
    "merge": "text",
}
_TAG = "tag:yaml.org,2002:"

# Aliases may share a part, but a file that unfolds beyond this is a bomb or a loop, not a catalogue.
_MOST_NODES = 100_000


@dataclass(slots=True)
class Node:
    file: str
    line: int  # of the key, or of the list's item
    path: str  # such as plans.pro.versions[0]
    kind: Kind
    text: str = ""  # the scalar as written
    entries: dict[str, Node] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.path}" if self.path else f"{self.file}"

    def described(self) -> str:
        """What stands there, for a sentence: 'is …'."""
        words = {"null": "is empty", "map": "is a mapping", "list": "is a list"}
        return words.get(self.kind) or f"is {shown(self.text)}"


def read_yaml(workspace: Path, file: str, problems: Problems) -> Node | None:
    """The file's root node, null for an empty file; None, and a problem, where it can't be read."""
    text = read_text(workspace, file, problems)
    if text is None:
        return None
    try:
        root = _composed(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file} line {mark.line + 1}:" if mark else file
        reason = str(error.problem).replace("but found", "found")  # the half sentence of ruamel's two
        problems.add(where, f"is not YAML ({reason})", "mend the line, or put the value in quotes")
        return None
    except (YAMLError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "nested too deeply"
        problems.add(file, f"is not YAML ({reason})", "take out what is not plain text")
        return None
    if root is None:
        return Node(file, 1, "", "null")
    builder = _Builder(file, problems)
    before = len(problems)
    node = builder.node(root, "", 1)
    return node if len(problems) == before else None


@lru_cache(maxsize=16)
def _composed(text: str) -> Any:
    """ruamel's tree, which nobody changes; a run reads the same few files again and again."""
    return YAML(typ="safe", pure=True).compose(text)


def read_text(workspace: Path, file: str, problems: Problems) -> str | None:
    """The file's text without byte-order mark; None, and a problem, where there is none to read."""
    try:
        data = (workspace / file).read_bytes()
    except FileNotFoundError:
        problems.add(file, "is missing", "write it, or check that the workspace is the right directory")
        return None
    except OSError as error:
        problems.add(file, f"can't be read ({error.strerror})", "make it a readable file")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.add(f"{file} line {line}:", "is not UTF-8 text", "save the file as UTF-8")
        return None


class _Builder:
    """Turns ruamel's composed tree into Nodes."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._count = 0
        self._open: set[int] = set()

    def node(self, raw: Any, path: str, line: int) -> Node:
        node = Node(self._file, line, path, "null")
        self._count += 1
        if id(raw) in self._open:
            self._problems.add(node, "holds itself by an alias", "write the value out")
            return node
        if self._count > _MOST_NODES:
            if self._count == _MOST_NODES + 1:
                self._problems.add(node, "unfolds to too much by its aliases", "write fewer of them")
            return node
        self._open.add(id(raw))
        if isinstance(raw, MappingNode):
            node.kind = "map"
            self._fill(node, raw)
        elif isinstance(raw, SequenceNode):
            node.kind = "list"
            node.items = [self.node(item, f"{path}[{i}]", item.start_mark.line + 1) for i, item in enumerate(raw.value)]
        elif isinstance(raw, ScalarNode):
            self._scalar(node, raw)
        self._open.discard(id(raw))
        return node

    def _scalar(self, node: Node, raw: ScalarNode) -> None:
        kind = _KINDS.get(str(raw.tag).removeprefix(_TAG))
        node.text = raw.value
        if kind is None:
            self._problems.add(node, f"has a tag {shown(str(raw.tag))}", "write the plain value")
        elif kind == "bool" and raw.value.lower() not in ("true", "false"):
            node.kind = "text"  # YAML 1.1, asked for by a directive: yes and no stay words
        else:
            node.kind = kind

    def _fill(self, node: Node, raw: MappingNode) -> None:
        for key, value in raw.value:
            line = key.start_mark.line + 1
            name = key.value if isinstance(key, ScalarNode) else None
            if name is None or str(key.tag) == _TAG + "null":
                place = f"{node.file} line {line}:"
                self._problems.add(place, "a key is no text", "write a plain word before the colon")
                continue
            child = self.node(value, _joined(node.path, name), line)
            if name in node.entries:
                self._problems.add(child, f"stands twice, first on line {node.entries[name].line}", "keep one of them")
            node.entries[name] = child


def _joined(path: str, key: str) -> str:
    plain = key if key and key.isprintable() and not any(c in key for c in " .[]'\"") else shown(key)
    return f"{path}.{plain}" if path else plain
