"""A bundle: a tar of sorted names and fixed times, packed with zstd; the same bytes for the same content."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from assets.core.refusal import Refusal


def sha256_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def pack(members: Iterable[tuple[str, Path]], to: Path) -> None:
    """Write the members in their order; the file stands under its name only when it is whole."""
    part = to.with_name(f".{to.name}.tmp")
    with (
        pa.OSFile(str(part), "wb") as file,
        pa.CompressedOutputStream(file, "zstd") as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in members:
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            info.mode = 0o644
            with path.open("rb") as content:
                tar.addfile(info, content)
    os.replace(part, to)


def unpack(file: Path, into: Path) -> None:
    """Every member below `into`; nothing can be written anywhere else."""
    try:
        with (
            pa.OSFile(str(file), "rb") as opened,
            pa.CompressedInputStream(opened, "zstd") as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|") as tar,
        ):
            tar.extractall(into, filter="data")
    except (tarfile.TarError, OSError, pa.ArrowInvalid) as error:
        raise Refusal(f"{file} is no audit bundle that can be read to its end ({error}).") from None
