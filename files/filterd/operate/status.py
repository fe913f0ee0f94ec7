# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a running daemon, as a document for machines and as one screen for people: pure functions."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..config import Config
from .metrics import SECONDS, STAGES, Slot, Totals, quantile
from .warnings import duration
from .window import by_label

Document = dict[str, Any]


class Running(NamedTuple):
    """What runs."""

    version: str
    code: str  #: fingerprint
    directory: str
    interpreter: str
    pid: int
    since: float  #: seconds since 1970
    path: str  #: of the configuration


def document(
    running: Running,
    config: Config,
    totals: Totals,
    lately: Totals,
    rates: Mapping[str, float],
    workers: list[Document],
    history: list[Document],
    warnings: list[Document],
) -> Document:
    """Everything. `lately` is what came in the last five minutes.

    What has `words` is told in them to people, here and on the page of the report, so that both say the same.
    """

    def number(name: str) -> float | None:
        return totals.get(Slot(name))

    def whole(name: str) -> int | None:
        found = number(name)
        return None if found is None else int(found)

    scanners = []
    for scanner in config.scanners:
        labels = (("scanner", scanner.name),)
        made = totals.get(Slot("scanner_signatures_timestamp_seconds", labels), 0.0)
        scanners.append(
            {
                "name": scanner.name,
                "asked": int(totals.count("scanner_seconds", labels)),
                "failed": int(totals.count("scanner_failures", labels)),
                "average": round(lately.average("scanner_seconds", labels), 4),
                "signatures": made or None,
            }
        )
    return {
        "running": {
            **running._asdict(),
            "fingerprint": config.fingerprint,
            "configuration": config.as_json(),
        },
        "instances": {"size": config.instances, "in_flight": whole("in_flight"), "waiting": whole("waiting")},
        "clients": whole("clients"),
        "workers": workers,
        "worker_restarts": whole("worker_restarts"),
        "messages": {
            "words": f"{int(totals.count('messages'))}, {_size(whole('message_bytes'))}; "
            f"{rates['1m']:g}/min now, {rates['5m']:g}/min in 5 min",
            "total": int(totals.count("messages")),
            "bytes": whole("message_bytes"),
            "per_minute": dict(rates),
            "by_verdict": by_label(totals, "messages", "verdict"),
            "by_disposition": by_label(totals, "messages", "disposition"),
            "recipients": by_label(totals, "recipients", "end"),
            "given_up": by_label(totals, "given_up", "reason"),
            "reinjection_failures": whole("reinjection_failures"),
        },
        "latency": {stage: _latency(lately, stage) for stage in STAGES},
        "scanners": scanners,
        "scratch": {
            "words": f"{_size(whole('scratch_used_bytes'))} of {_size(whole('scratch_capacity_bytes'))}",
            "used": whole("scratch_used_bytes"),
            "capacity": whole("scratch_capacity_bytes"),
        },
        "quarantine": {
            "words": f"{whole('quarantine_messages')} messages, {_size(whole('quarantine_bytes'))}, "
            f"{_size(whole('quarantine_free_bytes'))} free, reserve {_size(config.quarantine_reserve)}",
            "messages": whole("quarantine_messages"),
            "bytes": whole("quarantine_bytes"),
            "oldest": number("quarantine_oldest_timestamp_seconds") or None,
            "free": whole("quarantine_free_bytes"),
            "reserve": config.quarantine_reserve,
        },
        "ledger": {
            "file": config.ledger_file,
            "lines": whole("ledger_lines"),
            "failures": whole("ledger_failures"),
        },
        "history": history,
        "warnings": warnings,
    }


def _latency(lately: Totals, stage: str) -> Document:
    """Seconds that messages spent in a stage, and the same in words."""
    labels = (("stage", stage),)
    counts = lately.buckets("stage_seconds", labels)
    found = {"average": lately.average("stage_seconds", labels)}
    found.update({word: quantile(counts, SECONDS, part) for word, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))})
    rounded = {word: round(seconds, 4) for word, seconds in found.items()}
    return {"words": {word: _time(seconds) for word, seconds in rounded.items()}, **rounded}


def drift(running: Mapping[str, Any], deployed: Mapping[str, Any]) -> list[Document]:
    """The keys of two configurations in the form of daemon.json that differ."""
    return [
        {"key": key, "running": running.get(key), "deployed": deployed.get(key)}
        for key in sorted({*running, *deployed})
        if running.get(key) != deployed.get(key)
    ]


# For people

RED, YELLOW, GREEN, BOLD, PLAIN = "31", "33", "32", "1", "0"


class _Paint:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[{PLAIN}m" if self._colour else text


def screen(data: Document, now: float, colour: bool = False) -> str:
    """One screen of at most 80 columns where names allow it; escape sequences only with `colour`."""
    paint = _Paint(colour)
    if data.get("greets"):
        words = f"takes mail at {data['greets']}, and tells nothing about itself: "
        return "\n".join([paint("running: ", YELLOW) + words + str(data["error"]), *_deployed(data)])
    if not data.get("running"):
        return "\n".join([paint("not running: ", RED) + str(data.get("error", "")), *_deployed(data)])
    running, messages, quarantine = data["running"], data["messages"], data["quarantine"]
    instances, scratch = data["instances"], data["scratch"]
    state = paint("running", GREEN) if not data["warnings"] else paint(f"{len(data['warnings'])} warnings", YELLOW)
    since = duration(now - running["since"])
    places = _bar(instances["in_flight"], instances["size"]) + f"{instances['in_flight']} of {instances['size']}"
    lines = [
        f"{paint('filter-daemon ' + running['version'], BOLD)}  {state}  for {since}  pid {running['pid']}",
        f"code {running['code']}  configuration {running['fingerprint']}  {running['interpreter']}",
        *_drift_lines(data, paint),
        "",
        f"instances   {places}, {instances['waiting']} waiting, {data['clients']} connections",
        f"scratch     {_bar(scratch['used'], scratch['capacity'])}{scratch['words']}",
        f"quarantine  {quarantine['words']}"
        + (f", oldest {duration(now - quarantine['oldest'])}" if quarantine["oldest"] else ""),
        "",
        f"messages    {messages['words']}",
        f"verdicts    {_counts(messages['by_verdict'])}",
        f"recipients  {_counts(messages['recipients'])}",
    ]
    if messages["given_up"] or messages["reinjection_failures"]:
        lines.append(
            f"trouble     given up: {_counts(messages['given_up'])}; not reinjected: {messages['reinjection_failures']}"
        )
    lines += ["", "last 5 min    average      p50      p95      p99"]
    for stage, times in data["latency"].items():
        words = times["words"]
        lines.append(f"{stage:11}" + "".join(f"{words[word]:>9}" for word in ("average", "p50", "p95", "p99")))
    if data["scanners"]:
        lines.append("")
    for scanner in data["scanners"]:
        age = f", signatures {duration(now - scanner['signatures'])} old" if scanner["signatures"] else ""
        lines.append(
            f"{scanner['name']}: {scanner['asked']} asked, {scanner['failed']} failed, {_time(scanner['average'])}{age}"
        )
    lines.append("")
    lines.append(
        "workers     "
        + ", ".join(f"{worker['pid']} {worker['state']}" for worker in data["workers"])
        + (f"; {data['worker_restarts']} replaced" if data["worker_restarts"] else "")
    )
    ledger = data["ledger"]
    lost = paint(f", {ledger['failures']} LOST", RED) if ledger["failures"] else ""
    lines.append(f"ledger      {ledger['file'] or 'none'}: {ledger['lines']} lines{lost}")
    for warning in data["warnings"]:
        lines += ["", paint("WARNING ", YELLOW) + f"{warning['name']}: {warning['words']}", f"  {warning['advice']}"]
    return "\n".join(lines)


def _deployed(data: Document) -> list[str]:
    deployed = data.get("deployed", {})
    return [f"deployed: code {deployed.get('code')}, configuration {deployed.get('fingerprint')}"] if deployed else []


def _drift_lines(data: Document, paint: _Paint) -> list[str]:
    lines = []
    deployed = data.get("deployed", {})
    if deployed.get("error"):
        lines.append(paint("on disk: ", RED) + deployed["error"])
    elif deployed and deployed.get("code") != data["running"]["code"]:
        lines.append(paint("code on disk: ", YELLOW) + str(deployed.get("code")) + ", a restart is needed")
    for item in data.get("drift", []):
        words = f"{item['key']}: {json.dumps(item['running'])} runs, {json.dumps(item['deployed'])} is deployed"
        lines.append(paint("differs ", YELLOW) + words)
    return lines


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _size(number: int | None) -> str:
    if number is None:
        return "?"
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _bar(used: int | None, size: int | None) -> str:
    """How much is in use, for what stands behind it; nothing when that is not known."""
    if used is None or not size:
        return ""
    filled = min(20, round(20 * used / size))
    return f"[{'#' * filled}{'.' * (20 - filled)}] "


def iso(seconds: float) -> str:
    """A time for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
