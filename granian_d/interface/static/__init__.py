"""Files of the machine as answers, without the application."""

from granian_d.interface.static.site import Site as Site
