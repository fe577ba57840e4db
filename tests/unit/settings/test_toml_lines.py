"""Lines of keys in TOML documents, held against tomllib."""

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from granian_d.settings.toml_lines import key_lines

DOCUMENT = '''\
# [not.a.table]
a = 1 # b = 2
"b.c" = """x = 1
[y]
"""""
'd' = [ 1, # e = 3
  "]",
  {x = 1, y = [2,
    3]}, ]
lit = \'\'\'it\\\'\'\'
[t . "u"]
e = 1979-05-27 07:32:00 # f = 4

[[l]]
[l.m]
z = "\\"#"
[[l]]
q = [[1,2],[]]
r.s = {}
'''


def test_lines_of_a_document():
    tomllib.loads(DOCUMENT)
    assert key_lines(DOCUMENT) == {
        ("a",): 2,
        ("b.c",): 3,
        ("d",): 6,
        ("d", 0): 6,
        ("d", 1): 7,
        ("d", 2): 8,
        ("d", 2, "x"): 8,
        ("d", 2, "y"): 8,
        ("d", 2, "y", 0): 8,
        ("d", 2, "y", 1): 9,
        ("lit",): 10,
        ("t",): 11,
        ("t", "u"): 11,
        ("t", "u", "e"): 12,
        ("l",): 14,
        ("l", 0): 14,
        ("l", 0, "m"): 15,
        ("l", 0, "m", "z"): 16,
        ("l", 1): 17,
        ("l", 1, "q"): 18,
        ("l", 1, "q", 0): 18,
        ("l", 1, "q", 0, 0): 18,
        ("l", 1, "q", 0, 1): 18,
        ("l", 1, "q", 1): 18,
        ("l", 1, "r"): 19,
        ("l", 1, "r", "s"): 19,
    }


def test_windows_line_ends():
    assert key_lines("a = 1\r\n[t]\r\nb = 2\r\n") == {("a",): 1, ("t",): 2, ("t", "b"): 3}


KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=4).map(
        json.dumps
    ),
)
NOISE = st.sampled_from(["", "\n", "# c = [1\n", "\n \t# '\n"])


@st.composite
def values(draw, depth=2):
    """A TOML value, with line breaks wherever they may stand."""
    kind = draw(st.sampled_from(["scalar", "text", "array", "table"][: 4 if depth else 2]))
    if kind == "scalar":
        return draw(
            st.sampled_from(
                [
                    "1",
                    "-0.5e3",
                    "true",
                    "inf",
                    "07:32:00",
                    "1979-05-27 07:32:00Z",
                    "0xff",
                    "[]",
                    "{}",
                ]
            )
        )
    if kind == "text":
        text = draw(st.text(st.sampled_from("a \"'\\#=[]{},\n"), max_size=8))
        single = json.dumps(text)
        multi = '"""\n' + text.replace("\\", "\\\\").replace('"""', '""\\"') + "\\u0022" + '"""'
        literal = "'" + text.replace("'", "").replace("\n", "") + "'"
        long_literal = "'''" + text.replace("'''", "") + " '''"
        return draw(st.sampled_from([single, multi, literal, long_literal]))
    if kind == "array":
        items = draw(st.lists(values(depth=depth - 1), max_size=3))
        return (
            "["
            + "".join(f"{draw(NOISE)}{item}{draw(NOISE)}," for item in items)
            + draw(NOISE)
            + "]"
        )
    keys = draw(st.lists(KEYS, max_size=3, unique_by=lambda key: key.strip('"')))
    return "{" + ", ".join(f"{key} = {draw(values(depth=depth - 1))}" for key in keys) + "}"


@st.composite
def documents(draw):
    parts = []
    for _ in range(draw(st.integers(0, 5))):
        parts.append(draw(NOISE))
        header = ".".join(draw(st.lists(KEYS, min_size=1, max_size=3)))
        kind = draw(st.sampled_from(["pair", "pair", "table", "array"]))
        parts.append(
            {
                "pair": f"{header} = {draw(values())}",
                "table": f"[{header}]",
                "array": f"[[ {header} ]]",
            }[kind]
        )
        parts.append(draw(st.sampled_from(["\n", " # end\n"])))
    return "".join(parts)


def paths(value, path=()):
    """Every path into a parsed document."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield (*path, key)
        yield from paths(inner, (*path, key))


@given(documents())
def test_every_key_is_found_and_no_other(text):
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a key twice, most of all: the scanner reads only what tomllib has read
    lines = key_lines(text)
    assert set(lines) == set(paths(parsed))
    for line in lines.values():
        assert 1 <= line <= text.count("\n") + 1
