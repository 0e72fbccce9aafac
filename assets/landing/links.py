"""Tonight's files, kept while the batch is not posted: hard links below warehouse/landing/, or copies where the file
system has none. Landing reads the link, so what `raw_texts` reads later is what was landed, whatever raw/ does."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def links_root(workspace: Path) -> Path:
    return workspace / "warehouse" / "landing"


def keep(workspace: Path, raw_file: str) -> Path:
    """The kept file; a link that a killed run left behind is made anew."""
    kept = links_root(workspace) / raw_file
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.unlink(missing_ok=True)
    original = os.path.realpath(workspace / "raw" / raw_file)
    try:
        os.link(original, kept)
    except OSError:  # another device, or a file system or owner that allows no links
        shutil.copyfile(original, kept)
    return kept


def kept_path(workspace: Path, raw_file: str) -> Path:
    """Where the text of a landed file can be read again."""
    kept = links_root(workspace) / raw_file
    return kept if kept.exists() else workspace / "raw" / raw_file


def clear_links(workspace: Path) -> None:
    """Drop what was kept; after the transaction that posted the batch has committed, or for an empty batch."""
    shutil.rmtree(links_root(workspace), ignore_errors=True)


@contextmanager
def spool(workspace: Path) -> Iterator[Path]:
    """A directory for what must be unpacked before it can be read; among the links, so that it goes with them if a
    run is killed."""
    links_root(workspace).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=links_root(workspace), prefix=".spool-") as directory:
        yield Path(directory)
