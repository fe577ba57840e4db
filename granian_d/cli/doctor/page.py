"""docs/doctor.md, rendered from the checks."""

from __future__ import annotations

from typing import Final

from granian_d.cli.doctor.checks import CHECKS
from granian_d.cli.doctor.finding import LEVELS

_HEAD: Final = """\
# What is wrong, and how to mend it: granianctl doctor

<!-- Rendered by `python -m tests.golden.regenerate` from granian_d/cli/doctor. -->

    granianctl doctor                 all instances of /etc/granian
    granianctl doctor NAME            granian@NAME, planned or running
    granianctl doctor -c FILE         a TOML file, without a unit
    granianctl doctor ... --json      for machines

It looks, and changes nothing. A line for each finding: the level, the fact, why it matters, and
behind `=>` the command that mends it, or where a line belongs and that line. What is said of
`systemctl edit UNIT: LINE` is this command, and the line to be written below `[Service]`. The last
line counts them, or says that nothing is wrong.

    granian@shop: warning: OOMPolicy=stop: one worker that is killed for its memory takes the whole
    service with it => systemctl edit granian@shop: OOMPolicy=continue
    granian@shop: 1 warning

| level | meaning |
|---|---|
"""

_STATUS: Final = """
Exit status: 78 (EX_CONFIG) when there is a fault, or nothing to look at; else 0, with warnings too:
`granianctl doctor shop && systemctl restart granian@shop` is not stopped by what can wait.

Root is not needed. What others may not look at is a note, and never a fault; a permission is judged
by its mode, and not at all where there is an access control list. systemd is asked with `systemctl
show` and `systemctl cat`, with a limit of 10 s; the daemon as `granianctl status` does, with one of
5 s; the Python that the unit starts is asked for its version by a process that is not root's.

## Checks

| check | worst | what it looks at |
|---|---|---|
"""

_MACHINES: Final = """
## For machines

`--json` is one object. Fields may be added; `format` grows when one changes its meaning.

| field | what it is |
|---|---|
| `format` | 1 |
| `instances` | `name` ("" for a file without one), `file`, `findings` |
| `findings` | the worst first: `check`, `level`, `what`, `why`, `mend` ("" for none) |
| `counts` | findings by level, of all instances |
"""


def render() -> str:
    """The page."""
    levels = "".join(f"| {level} | {meaning} |\n" for level, meaning in LEVELS.items())
    rows = "".join(f"| {check.name} | {check.level} | {check.about} |\n" for check in CHECKS)
    return _HEAD + levels + _STATUS + rows + _MACHINES
