"""The demo may be stopped at any night and begun again: the workspace is the one of a demo that went through."""

from __future__ import annotations

import errno
import os
from datetime import datetime
from pathlib import Path

import pytest

from assets.core.catalogue.loading import load
from orchestration import demo


def files(workspace: Path) -> dict[str, bytes]:
    return {
        path.relative_to(workspace).as_posix(): path.read_bytes() for path in workspace.rglob("*") if path.is_file()
    }


def read_only(workspace: Path, _: datetime) -> None:
    """A night that ends before it has done anything, having read what it was given."""
    load(workspace)


def test_each_night_tried_again_finds_what_it_found_before(tmp_path: Path) -> None:
    demo.play(tmp_path, read_only)
    first = files(tmp_path)
    demo.play(tmp_path, read_only)
    assert files(tmp_path) == first
    assert first["catalog/workspace.yaml"].count(b"\n  key: test ") == 1


def test_a_file_that_arrived_in_part_arrives_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(file: Path, content: bytes) -> None:
        with file.open("wb") as opened:
            opened.write(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", torn)
        with pytest.raises(OSError, match="No space"):
            demo.play(tmp_path / "torn", read_only)
    demo.play(tmp_path / "torn", read_only)
    demo.play(tmp_path / "whole", read_only)
    torn_once, whole = files(tmp_path / "torn"), files(tmp_path / "whole")
    for each in (torn_once, whole):
        assert each.pop("practice-stripe.jsonl")  # says when its customers came
    assert torn_once == whole
