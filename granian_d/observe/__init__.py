"""Records of what happens: events, access lines, the scoreboard. See README.md."""
