"""Driving a machine's clock to its end."""

from __future__ import annotations

from math import inf

from sipcore.transaction import Action, Transaction


def run_out(transaction: Transaction, limit: float = 1000.0) -> list[tuple[float, Action]]:
    """Every action that time alone causes, with its moment."""
    log: list[tuple[float, Action]] = []
    while (deadline := transaction.next_deadline()) < min(limit, inf):
        log += [(deadline, action) for action in transaction.handle_timeout(deadline)]
    return log
