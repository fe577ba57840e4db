"""The master: facts about children, a pure decision, a loop around it. See README.md."""
