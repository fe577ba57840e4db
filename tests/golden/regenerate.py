"""The rendered faces of the project, and the command that renders them anew.

python -m tests.golden.regenerate
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from granian_d.cli import completions, manual
from granian_d.cli.commands import granian_d, granianctl
from granian_d.cli.doctor import page
from granian_d.cli.unit_file import CONFIGURATION
from granian_d.observe import catalog, metrics_page
from granian_d.settings.manual import granian_toml
from granian_d.settings.reference import reference
from granian_d.settings.render import sample
from granian_d.settings.usage import NARROWEST, WIDEST, help_text
from tests.parity import gaps
from tests.parity import page as from_granian

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]

FACES: dict[str, Callable[[], str]] = {
    "etc/granian/app.toml": sample,
    "docs/settings.md": reference,
    "docs/doctor.md": page.render,
    "docs/from-granian.md": from_granian.render,
    "docs/gaps.md": gaps.render,
    "docs/metrics.md": metrics_page.render,
    "systemd/granian-d.catalog": catalog.render,
    "docs/signals.md": manual.signals_page,
    "packaging/man/granian-d.8": manual.granian_d_page,
    "packaging/man/granianctl.8": manual.granianctl_page,
    "packaging/man/granian.toml.5": lambda: granian_toml(CONFIGURATION),
    "packaging/completions/granian-d.bash": lambda: completions.bash(granian_d(), CONFIGURATION),
    "packaging/completions/granianctl.bash": lambda: completions.bash(granianctl(), CONFIGURATION),
    "packaging/completions/_granian-d": lambda: completions.zsh(granian_d(), CONFIGURATION),
    "packaging/completions/_granianctl": lambda: completions.zsh(granianctl(), CONFIGURATION),
    "packaging/completions/granian-d.fish": lambda: completions.fish(granian_d(), CONFIGURATION),
    "packaging/completions/granianctl.fish": lambda: completions.fish(granianctl(), CONFIGURATION),
    "tests/golden/help-80.txt": lambda: help_text(NARROWEST),
    "tests/golden/help-100.txt": lambda: help_text(WIDEST),
}


def main() -> None:
    for name, render in FACES.items():
        (ROOT / name).write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
