"""The asyncio shell of sipcore: sockets, the clock, and nothing that decides."""
