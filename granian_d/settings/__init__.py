"""What a user may write, and the plan that it makes. See README.md.

`render` is not imported here: a planner starts once for every reload and renders nothing.
"""

from granian_d.settings.load import Loaded, load, load_keywords
from granian_d.settings.resolve import remarks, resolve
from granian_d.settings.sources import asked_for

__all__ = ["Loaded", "asked_for", "load", "load_keywords", "remarks", "resolve"]
