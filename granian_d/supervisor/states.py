"""The life of a worker and of the daemon, as tables: `TABLE[state][move]` is the state after.

A move that a state does not list has no meaning there and changes nothing.
"""

from __future__ import annotations

from typing import Final, Literal

WorkerState = Literal["starting", "ready", "draining", "dying"]
WorkerMove = Literal["ready", "drain", "kill"]

WORKER: Final[dict[WorkerState, dict[WorkerMove, WorkerState]]] = {
    "starting": {"ready": "ready", "kill": "dying"},
    "ready": {"drain": "draining", "kill": "dying"},
    "draining": {"drain": "draining", "kill": "dying"},
    "dying": {"kill": "dying"},
}

MoldState = Literal["starting", "ready", "dismissed", "dying"]
MoldMove = Literal["ready", "dismiss", "kill"]

MOLD: Final[dict[MoldState, dict[MoldMove, MoldState]]] = {
    "starting": {"ready": "ready", "dismiss": "dismissed", "kill": "dying"},
    "ready": {"dismiss": "dismissed", "kill": "dying"},
    "dismissed": {"kill": "dying"},
    "dying": {"kill": "dying"},
}

Phase = Literal["booting", "serving", "leaving", "stopping", "gone"]
PhaseMove = Literal["commit", "delay", "stop", "leave"]

PHASE: Final[dict[Phase, dict[PhaseMove, Phase]]] = {
    "booting": {"commit": "serving", "stop": "stopping", "leave": "gone"},
    "serving": {"commit": "serving", "delay": "leaving", "stop": "stopping", "leave": "gone"},
    "leaving": {"stop": "stopping", "leave": "gone"},
    "stopping": {"stop": "stopping", "leave": "gone"},
    "gone": {},
}
