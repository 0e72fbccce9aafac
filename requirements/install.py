"""Make .venv exactly what a lock says, or do nothing when it already is.

    python3 requirements/install.py runtime    # what `make run` needs
    python3 requirements/install.py dev        # that, and what `make test` needs
    python3 requirements/install.py bench      # that, and what `make bench` compares with

Promise: only packages whose hashes are in the lock are installed, nothing is resolved anew, and a second call
costs a few milliseconds. uv (itself from a lock) does it in seconds; where it cannot, pip does the same in minutes.
No index is named anywhere: the machine's own pip settings decide where packages come from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv"
BIN = HOME / ("Scripts" if os.name == "nt" else "bin")
STAMP = HOME / ".installed"
FLOOR, CEILING = (3, 11), (3, 13)
Command = list[str | Path]
PROFILES = ("runtime", "dev", "bench")  # each holds the one before it
# Whole wheels with known hashes or nothing: no package's own build script runs here. The one exception has no wheel:
# pyspark, 480 MB of Java archives that its script copies. It is built by the tools of tool.lock, so nothing is fetched
# for it; pip and uv keep what came of it, so a second environment does not build it again.
LOCKED: Command = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
LOCKED_BUT_ONE: Command = [*LOCKED, "--no-binary", "pyspark", "--no-build-isolation"]


def main() -> int:
    profile = sys.argv[1] if len(sys.argv) == 2 else ""
    if profile not in PROFILES:
        return say(f"usage: python3 requirements/install.py {'|'.join(PROFILES)}", 2)
    if not FLOOR <= sys.version_info[:2] <= CEILING:
        return say(
            f"Tallyhouse needs Python 3.11, 3.12 or 3.13 and {sys.executable} is {sys.version.split()[0]}: "
            "name another, as in `make PYTHON=python3.12 run`.",
            1,
        )
    installed = STAMP.read_text().split() if STAMP.exists() else []
    if installed and installed[0] in PROFILES:
        profile = max(profile, installed[0], key=PROFILES.index)  # so that a developer's environment stays one
    if installed == [profile, fingerprint(profile)]:
        return 0
    try:
        install(profile)
    except subprocess.CalledProcessError as error:
        return say(f"The environment is not complete: `{' '.join(map(str, error.cmd))}` failed (above is why).", 1)
    STAMP.write_text(f"{profile} {fingerprint(profile)}\n")
    return 0


def install(profile: str) -> None:
    lock = ROOT / "requirements" / f"{profile}.lock"
    python = BIN / "python"
    create_environment()
    STAMP.unlink(missing_ok=True)  # from here until the end the environment is neither the old nor the new one
    packages = sum("==" in line for line in lock.read_text().splitlines())
    say(f"Installing {packages} packages from {lock.relative_to(ROOT)} into .venv …")
    pip: Command = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    run([*pip, *LOCKED, "-r", ROOT / "requirements" / "tool.lock"])
    # Compiled at once, as pip does it: where Python may not write beside its libraries (PYTHONDONTWRITEBYTECODE, a
    # read-only image) every night would compile five thousand files again, for seven seconds.
    uv: Command = [BIN / "uv", "--quiet", "pip", "sync", "--compile-bytecode"]
    if not succeeds([*uv, "--python", python, *LOCKED_BUT_ONE[1:], lock], settings_of_pip(python)):
        say("uv could not (see above), so pip does it: some minutes.")
        run([*pip, *LOCKED_BUT_ONE, "-r", lock])
    # Editable, from the lock's own build tools: nothing is fetched.
    run([*pip, "--no-deps", "--no-build-isolation", "--no-index", "--editable", ROOT])


def create_environment() -> None:
    """A new .venv, unless we run inside it or it is of this very Python."""
    inside = Path(sys.prefix).resolve() == HOME.resolve()
    version = "{}.{}".format(*sys.version_info[:2])
    if inside or ((BIN / "python").exists() and (HOME / "lib" / f"python{version}").is_dir()):
        return
    if HOME.exists():
        shutil.rmtree(HOME)
    try:
        venv.create(HOME, with_pip=True, symlinks=os.name != "nt")
    except (subprocess.CalledProcessError, ImportError):
        shutil.rmtree(HOME, ignore_errors=True)
        raise SystemExit(
            f"{sys.executable} cannot make a virtual environment: install its venv package "
            f"(Debian: python{version}-venv) or name another Python, as in `make PYTHON=python3.12 run`."
        ) from None


def settings_of_pip(python: Path) -> dict[str, str]:
    """uv reads no pip configuration; hand on where packages come from and which certificates are trusted."""
    environment = dict(os.environ, UV_PYTHON_DOWNLOADS="never")
    asked = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    configured = dict(line.split("=", 1) for line in asked.stdout.splitlines() if "=" in line)
    for name, variable in (("index_url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
        for place in ("global", "install", ":env:"):
            if value := configured.get(f"{place}.{name}".replace("_", "-"), "").strip("'\""):
                environment.setdefault(variable, value)
    return environment


def fingerprint(profile: str) -> str:
    """What the environment depends on: the locks, our own metadata, this Python, this place on disk."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for file in (f"requirements/{profile}.lock", "requirements/tool.lock", "pyproject.toml"):
        digest.update((ROOT / file).read_bytes())
    return digest.hexdigest()


def succeeds(command: Command, environment: dict[str, str]) -> bool:
    try:
        return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == 0
    except OSError:  # a platform without a uv of its own
        return False


def run(command: Command) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


def say(text: str, code: int = 0) -> int:
    print(text, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
