"""The private environment of a package: a venv on the system's Python, with granian-d in it.

    python3 packaging/private_environment.py DESTINATION PREFIX

Run in the sources, by the Python that the package will run on, while the package is built.
DESTINATION is the directory in which the package is gathered, PREFIX where its user finds the
environment (/usr/lib/granian-d). What compiles and installs is kept in build/tools and is no part
of it. Neither are pip, its records, bytecode and paths of the machine that builds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
INTERPRETERS = Path(sys.base_prefix) / "bin"  # /usr/bin; /usr/local/bin in images of Python's own
TOOLS = Path("build/tools")
ENGINE = "granian_d/engine/native"
EXTRAS = (
    "http3"  # nobody can add one to the environment later, and without it options have no effect
)
PROGRAM = """\
#!{python}
import sys

from {module} import {function}

sys.exit({function}())
"""
# What pip leaves for itself: where it had a package from, what it wrote, who asked for it.
RECORDS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def main(destination: Path, prefix: Path) -> None:
    """Make the environment of PREFIX below DESTINATION."""
    with Path("pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    root = destination / prefix.relative_to("/")
    shutil.rmtree(root, ignore_errors=True)
    provide_tools(project["build-system"]["requires"])
    compile_engine()
    install(root)
    tidy(root)
    settle(root, prefix)
    for name, target in project["project"]["scripts"].items():
        write_program(root, prefix, name, target)
    refuse_traces(root)


def run(*command: str | Path, **environ: str) -> None:
    """Run a command; it must succeed."""
    subprocess.run(command, check=True, env={**os.environ, **environ})


def provide_tools(requires: list[str]) -> None:
    """What compiles the engine, in a venv of its own; kept for the next time."""
    made = TOOLS / ".made"
    if made.exists() and made.read_text() == repr(requires):
        return
    run(sys.executable, "-m", "venv", "--clear", TOOLS)
    run(TOOLS / "bin/pip", "install", "--quiet", *requires)
    made.write_text(repr(requires))


def compile_engine() -> None:
    """The compiled parts, beside their sources; what has not changed is not compiled again.

    setup.py goes on without them where they cannot be built. A package does not.
    """
    # Debug information, where it is kept, names sources by their place in the project.
    flags = f"{os.environ.get('CFLAGS', '')} -ffile-prefix-map={Path.cwd()}=."
    run(TOOLS / "bin/python", "setup.py", "--quiet", "build_ext", "--inplace", CFLAGS=flags)
    if not [*Path(ENGINE).glob("wire.*.so")]:
        sys.exit("the native engine could not be compiled")


def install(root: Path) -> None:
    """granian-d and all that it needs, and what its options may need."""
    run(sys.executable, "-m", "venv", "--without-pip", "--symlinks", root)
    shutil.rmtree("build/lib", ignore_errors=True)  # setuptools would find modules that are gone
    pip = (
        TOOLS / "bin/pip",
        "--python",
        root / "bin/python3",
        "--quiet",
        "install",
        "--no-compile",
    )
    run(*pip, f".[{EXTRAS}]", GRANIAN_D_BUILD="none")
    packages = site_packages(root)
    for compiled in Path("granian_d").rglob("*.so"):
        shutil.copy(compiled, packages / compiled)


def site_packages(root: Path) -> Path:
    """Where the modules are."""
    return root / "lib" / f"python{MINOR}" / "site-packages"


def tidy(root: Path) -> None:
    """Take away what nobody needs who only runs it."""
    shutil.rmtree(root / "bin")
    shutil.rmtree(root / "include", ignore_errors=True)
    shutil.rmtree(root / "share", ignore_errors=True)  # the package has these files in their places
    (root / "lib64").unlink(missing_ok=True)
    packages = site_packages(root)
    for directory in packages.glob("*.dist-info"):
        for name in RECORDS:
            (directory / name).unlink(missing_ok=True)
    for unused in [*packages.rglob("__pycache__"), *packages.glob("*/tests")]:
        shutil.rmtree(unused)


def settle(root: Path, prefix: Path) -> None:
    """Make it one of PREFIX and of the system's Python, of which only the minor version is said."""
    facts = f"home = {INTERPRETERS}\ninclude-system-site-packages = false\n"
    (root / "pyvenv.cfg").write_text(facts)
    (root / "bin").mkdir()
    # By its minor version: the modules are for that one only, also while the system's changes.
    interpreter = os.path.relpath(INTERPRETERS / f"python{MINOR}", prefix / "bin")
    (root / "bin/python3").symlink_to(interpreter)


def write_program(root: Path, prefix: Path, name: str, target: str) -> None:
    """A program of ours: a file in the environment, found in /usr/bin by a link."""
    module, function = re.fullmatch(r"([\w.]+):(\w+)", target).groups()  # type: ignore[union-attr] - ours
    program = root / "bin" / name
    python = prefix / "bin/python3"
    program.write_text(PROGRAM.format(python=python, module=module, function=function))
    program.chmod(0o755)


def refuse_traces(root: Path) -> None:
    """No file may name the place where it was made."""
    place = os.fsencode(Path.cwd())
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and place in path.read_bytes():
            sys.exit(f"{path} names {place.decode()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]))
