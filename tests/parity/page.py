"""docs/from-granian.md, rendered from the comparison of options."""

from __future__ import annotations

from tests.parity.options import OURS, compare, read, reasons

_HEAD = """\
# From Granian

<!-- Rendered by `python -m tests.golden.regenerate` from tests/parity. -->

A command line of Granian 2.8 works with one word changed, `granian-d` for `granian`; so do its
variables `GRANIAN_*`, and programs that import `granian_d` for `granian` ([api.md](api.md)). All {count}
options of Granian 2.8.7 are there under the same flags and variables, with the same syntax of values.
What follows is all that differs. Whatever is not in these tables is a fault of ours.

What Granian gets wrong and granian-d does not, line by line with the test that shows it, is in
[gaps.md](gaps.md). What granian-d has beyond is in [settings.md](settings.md).

## Options that differ

Each of these is decided on in [ADR 16](adr/0016-where-we-differ-from-granian.md).

| option | what | Granian | granian-d | why |
|---|---|---|---|---|
"""

_MEANINGS = """
## Options that mean more

| option | Granian | granian-d | why |
|---|---|---|---|
"""

_LINES = """
## Lines of the log

Lines that tools look for have Granian's words. These have others, or there is nothing to say:

| Granian | why not |
|---|---|
"""

_TAIL = """
## The daemon

| | Granian | granian-d |
|---|---|---|
| log | standard output | standard error; the access log on standard output |
| exit statuses | 2 for the command line, 1 for all else | those of sysexits.h: 78 for the configuration, 65 and 70 for the application, 71 for an address ([control.md](control.md)) |
| SIGHUP | new workers, whether or not they can start | a transaction ([reload.md](reload.md)); options are read anew |
| SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGQUIT | end the master | [signals.md](signals.md) |
| platforms | also macOS, Windows, PyPy, Pythons without a GIL | Linux, CPython with its GIL |
"""

_WORDS = {
    "default": "default",
    "effect": "effect",
    "minimum": "at least",
    "maximum": "at most",
}


def render() -> str:
    """The page."""
    why = reasons()
    lines = [_HEAD.format(count=len(read("granian.toml")["option"]))]
    for found in compare():
        theirs, ours = found.theirs or "none", found.ours
        if found.aspect == "effect":
            theirs, ours = "some", "none; setting it is told once"
        cells = (
            f"`{found.flag}`",
            _WORDS[found.aspect],
            theirs,
            ours,
            why[found.flag, found.aspect],
        )
        lines.append("| " + " | ".join(cells) + " |\n")
    lines.append(_MEANINGS)
    for row in read("differences.toml")["meaning"]:
        assert row["option"] == "APP" or row["option"] in OURS
        cells = (f"`{row['option']}`", row["theirs"], row["ours"], row["why"])
        lines.append("| " + " | ".join(cells) + " |\n")
    lines.append(_LINES)
    unsaid = [row for row in read("log_lines.toml")["line"] if "why" in row]
    lines += [f"| `{row['granian']}` | {row['why']} |\n" for row in unsaid]
    return "".join([*lines, _TAIL])
