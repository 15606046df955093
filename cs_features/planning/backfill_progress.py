"""How far a backfill has come and how long it will still take, in one line. Pure."""

from cs_features.planning.backfill_launch import Backfill
from cs_features.planning.quote import Queue
from cs_features.services import Model


def describe_progress(backfill: Backfill, queue: Queue, limits: Model, now: float) -> str:
    counts = backfill.count_run_states()
    total = len(backfill.runs)
    parts = [
        f"{counts[state]} {state}" for state in ("done", "running", "waiting", "failed", "stopped") if counts[state]
    ]
    line = f"{total} partitions: {', '.join(parts)}"
    if backfill.is_backfill_over or backfill.is_backfill_stopped:
        return f"{line}; {backfill.status.lower().replace('_', ' ')}"
    minutes, source = estimate_minutes_left(backfill, queue, limits, now)
    return f"{line}; about {format_remaining_duration(minutes)} left, {source}"


def estimate_minutes_left(backfill: Backfill, queue: Queue, limits: Model, now: float) -> tuple[float, str]:
    """By the quota and by the starting of runs, or by the pace so far where that is slower; and which of them."""
    counts = backfill.count_run_states()
    left, total = counts["running"] + counts["waiting"], len(backfill.runs)
    by_queue = left * queue.seconds_a_run / queue.runs_at_once / 60
    calls_left = (backfill.quoted_calls or 0) * left / total if total else 0.0
    by_quota = calls_left / limits.requests_per_minute if limits.requests_per_minute else 0.0
    ended = total - left
    by_pace = (now - backfill.began) / 60 / ended * left if ended else 0.0
    estimates = {"by the quota": by_quota, "by the starting of runs": by_queue, "by the pace so far": by_pace}
    source = max(estimates, key=lambda name: estimates[name])
    return estimates[source], source


def format_remaining_duration(minutes: float) -> str:
    if minutes < 90:
        return f"{max(1, round(minutes))} min"
    return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:.1f} days"
