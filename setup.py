"""The compiled parts: built where there is a C compiler, left out where there is none.

Everything else about the package stands in pyproject.toml. Without compiled parts the same Python
sources run interpreted, and the pure engine speaks the wire.

    GRANIAN_D_BUILD=none      build nothing
    GRANIAN_D_BUILD=debug     assertions of the C code and checks of every index
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KIND = os.environ.get("GRANIAN_D_BUILD", "fast")

# What a request passes through. A .py here has a .pxd beside it with its types.
SOURCES = (
    "granian_d/engine/contract.py",
    "granian_d/engine/native/answer.pyx",
    "granian_d/engine/native/chunks.pyx",
    "granian_d/engine/native/h1.pyx",
    "granian_d/engine/native/h1_exchange.pyx",
    "granian_d/engine/native/h2.pyx",
    "granian_d/engine/native/h2_answer.pyx",
    "granian_d/engine/native/h2_exchange.pyx",
    "granian_d/engine/native/h2_field.pyx",
    "granian_d/engine/native/h2_head.pyx",
    "granian_d/engine/native/h2_inflow.pyx",
    "granian_d/engine/native/h2_outflow.pyx",
    "granian_d/engine/native/h2_requests.pyx",
    "granian_d/engine/native/head.pyx",
    "granian_d/engine/native/hpack.pyx",
    "granian_d/engine/native/huffman.pyx",
    "granian_d/engine/native/octets.pyx",
    "granian_d/engine/native/wire.pyx",
    "granian_d/engine/native/ws.pyx",
    "granian_d/engine/native/ws_frames.pyx",
    "granian_d/engine/native/ws_intake.pyx",
    "granian_d/transport/connection.pyx",
    "granian_d/transport/direct.pyx",
    "granian_d/transport/outflow.pyx",
    "granian_d/transport/poll.pyx",
    "granian_d/http/message.py",
    "granian_d/http/exchange.py",
    "granian_d/http/session.py",
    "granian_d/http/ticks.pyx",
    "granian_d/http/turn.py",
    "granian_d/interface/acts.py",
    "granian_d/interface/calls.py",
    "granian_d/interface/fields.py",
    "granian_d/interface/gate.py",
    "granian_d/interface/stepping.pyx",
    "granian_d/interface/target.py",
    "granian_d/interface/asgi/application.py",
    "granian_d/interface/asgi/conversation.py",
    "granian_d/interface/asgi/dialogue.py",
    "granian_d/interface/asgi/messages.py",
    "granian_d/interface/asgi/scope.py",
    "granian_d/interface/asgi/talk.py",
    "granian_d/interface/rsgi/application.py",
    "granian_d/interface/rsgi/dialogue.py",
    "granian_d/interface/rsgi/headers.py",
    "granian_d/interface/rsgi/protocol.py",
    "granian_d/interface/rsgi/scope.py",
    "granian_d/interface/rsgi/websocket.py",
    "granian_d/interface/wsgi/application.py",
    "granian_d/interface/wsgi/call.py",
    "granian_d/interface/wsgi/crossing.py",
    "granian_d/interface/wsgi/environ.py",
    "granian_d/interface/wsgi/intake.py",
    "granian_d/interface/wsgi/lone.py",
    "granian_d/interface/wsgi/loop_call.py",
    "granian_d/interface/wsgi/response.py",
    "granian_d/interface/wsgi/thread_call.py",
    "granian_d/interface/wsgi/visit.py",
    "granian_d/observe/access_log.py",
    "granian_d/worker/dispatch.py",
    "granian_d/worker/fronts.py",
    "granian_d/worker/last_request.pyx",
    "granian_d/worker/libc.pyx",
)

DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,  # annotations are mypy's; C types stand in the .pxd files
    "binding": False,  # methods without a frame's worth of attributes
    "boundscheck": KIND == "debug",
    "nonecheck": KIND == "debug",
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "always_allow_keywords": True,
    "auto_pickle": False,  # nobody pickles what lives as long as a request
}
TRANSLATED = Path("build/c")
# Every worker maps all of it, and a page of two modules costs less than two: a third of the octets
# are tables for unwinding, functions that nobody calls and room between segments.
FAST = ["-O3", "-fno-plt", "-fno-semantic-interposition", "-fvisibility=hidden", "-g1"]
FAST += ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-ffunction-sections"]
LEAN = ["-Wl,--gc-sections", "-Wl,-z,noseparate-code"]
# Not optimized: that takes gcc a quarter of the time, and all traps but those of object sizes stay.
DEBUG = ["-O0", "-g", "-UNDEBUG", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]


class BuildIfPossible(build_ext):
    """Leaves the compiled parts out, and says so in one line, where they cannot be built."""

    def finalize_options(self) -> None:
        """Compile on every CPU."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        """Build all, or nothing: half of the compiled parts would be slower and untested."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever a compiler can do
            self.extensions = []
            print(f"granian-d: the native engine is left out ({error})", file=sys.stderr)


def extensions() -> list[Extension]:
    """The compiled parts, as C."""
    if KIND == "none":
        return []
    from Cython.Build import cythonize

    if TRANSLATED.exists() and TRANSLATED.stat().st_mtime < Path("setup.py").stat().st_mtime:
        shutil.rmtree(TRANSLATED)  # with other directives: Cython itself compares sources only
    modules = [
        Extension(
            str(Path(source).with_suffix("")).replace("/", "."),
            [source],
            extra_compile_args=DEBUG if KIND == "debug" else FAST,
            extra_link_args=[] if KIND == "debug" else LEAN,
        )
        for source in SOURCES
    ]
    return cythonize(
        modules,
        compiler_directives=DIRECTIVES,
        build_dir=str(TRANSLATED),
        nthreads=os.cpu_count() or 1,
        quiet=True,
    )


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildIfPossible})
