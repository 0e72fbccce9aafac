"""Data Docs, the report of the checks, so that it opens anywhere: every page whole without a request to anyone.

Its pages ask sixteen files of other hosts. What they use of Bootstrap, jQuery and Font Awesome comes from packages that
are installed with Tallyhouse; of the rest they use one table, which a few lines of ours draw (docs.js).
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
from pathlib import Path

DOCS = Path("warehouse") / "gate"
REPORT = (DOCS / "index.html").as_posix()
PUBLISHED = Path("published") / "data_docs"

# Package, file below its data, and where it goes; fonts stand where Font Awesome's style sheet looks for them.
_FILES = (
    ("bootstrap", "css/bootstrap.min.css", "css"),
    ("font_awesome", "css/all.min.css", "css"),
    ("font_awesome", "webfonts/fa-solid-900.woff2", "webfonts"),
    ("font_awesome", "webfonts/fa-regular-400.woff2", "webfonts"),
    ("jquery", "jquery.min.js", "js"),
    ("bootstrap", "js/bootstrap.bundle.min.js", "js"),
)
_HEAD = (
    '<link rel="stylesheet" href="{root}static/css/bootstrap.min.css">'
    '<link rel="stylesheet" href="{root}static/css/all.min.css">'
    '<script src="{root}static/js/jquery.min.js"></script>'
    '<script src="{root}static/js/bootstrap.bundle.min.js"></script>'
    '<script src="{root}static/js/docs.js"></script>'
    # There are no filters, and the first page's bar held nothing but a logo.
    "<style>[onclick^=clearTableFilters], nav.sticky-top:not(:has(ol)) {{display: none}}</style>"
)

_ELSEWHERE = (
    re.compile(r'<script\b[^>]*\bsrc="(?:https?:)?//[^"]*"[^>]*>\s*</script>', re.DOTALL),
    re.compile(r'<link\b[^>]*\bhref="(?:https?:)?//[^"]*"[^>]*>'),
    re.compile(r'<img\b[^>]*\bsrc="(?:https?:)?//[^"]*"[^>]*>'),
    re.compile(r"""background(?:-image)?:\s*url\(['"]?(?:https?:)?//[^)]*\)[^;]*;"""),
    re.compile(r'<link\b[^>]*\bhref="[^"]*favicon[^"]*"[^>]*>'),
    re.compile(r"<footer\b.*?</footer>", re.DOTALL),  # an invitation to a newsletter
)

# What the same night would not say again: random names of what opens and closes, and when the checks were run.
_RANDOM = re.compile(r"(?<=-collapse-body-)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLOCK = re.compile(r"<tr\b(?:(?!<tr\b).)*?>ge_load_time<.*?</tr>", re.DOTALL)


def fresh(workspace: Path) -> Path:
    """Where tonight's pages go; those of the night before are gone."""
    docs = workspace / DOCS
    shutil.rmtree(docs, ignore_errors=True)
    return docs


def dress(workspace: Path) -> None:
    """Put the style into the pages, and take out what they would ask of others, or say otherwise the next time."""
    docs = workspace / DOCS
    static = docs / "static"
    for unused in ("fonts", "images"):  # three megabytes that show how to use it
        shutil.rmtree(static / unused, ignore_errors=True)
    for package, file, folder in _FILES:
        (static / folder).mkdir(parents=True, exist_ok=True)
        data = Path(importlib.import_module(f"xstatic.pkg.{package}").BASE_DIR)
        shutil.copyfile(data / file, static / folder / Path(file).name)
    shutil.copyfile(Path(__file__).with_name("docs.js"), static / "js" / "docs.js")
    for sheet in (static / "styles").glob("*.css"):
        sheet.write_text(_without_others(sheet.read_text(encoding="utf-8")), encoding="utf-8")
    for page in docs.rglob("*.html"):
        root = "../" * (len(page.relative_to(docs).parts) - 1)
        page.write_text(_dressed(page.read_text(encoding="utf-8"), root), encoding="utf-8")


def _dressed(html: str, root: str) -> str:
    numbers: dict[str, str] = {}
    said = _RANDOM.sub(lambda name: numbers.setdefault(name[0], str(len(numbers))), _CLOCK.sub("", html))
    return _without_others(said).replace("<head>", f"<head>{_HEAD.format(root=root)}", 1)


def _without_others(text: str) -> str:
    for elsewhere in _ELSEWHERE:
        text = elsewhere.sub("", text)
    return text


def publish(workspace: Path) -> None:
    """Beside the file that readers open: the report of the night that it is of."""
    docs, target = workspace / DOCS, workspace / PUBLISHED
    if not docs.is_dir():
        return
    part, old = (target.with_name(f".{target.name}.{suffix}") for suffix in ("tmp", "old"))
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(docs, part)
    if target.exists():
        os.replace(target, old)
    os.replace(part, target)
    shutil.rmtree(old, ignore_errors=True)
