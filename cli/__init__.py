"""The command line: Typer commands, rendering and exit codes."""
