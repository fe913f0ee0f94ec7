# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML page that needs nothing else: no script, no font, no picture from anywhere. Pure functions."""

from __future__ import annotations

import html
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.mailops.filter_stack.plugins.plugin_utils._report_drawing import (
    capacity_bar,
    history,
    legend,
    topology,
)
from ansible_collections.mailops.filter_stack.plugins.plugin_utils._report_wiring import wires

Host = Mapping[str, Any]

_STYLE = """
:root{font:15px/1.45 system-ui,"DejaVu Sans",sans-serif;color:#223;background:#f5f6f8}
body{max-width:1060px;margin:0 auto;padding:24px}h1{font-size:26px;margin:0}h2{font-size:18px;margin:28px 0 8px}
h3{font-size:16px;margin:0}header p,.small{color:#667;margin:2px 0 0;font-size:13px}
section,article{background:#fff;border:1px solid #dde;border-radius:8px;padding:14px 18px;margin:12px 0}
article header{display:flex;flex-wrap:wrap;gap:4px 14px;align-items:baseline;margin-bottom:8px}
.state{border-radius:10px;padding:1px 10px;font-size:13px;background:#dcefe0;color:#19522a}
.state.warn{background:#fdf0d0;color:#6d4b00}.state.down{background:#f9d9d6;color:#7c1007}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(430px,100%),1fr));gap:8px 28px}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 12px;margin:0}dt{color:#667}
dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:right;padding:1px 6px}
th:first-child,td:first-child{text-align:left}th{color:#667;font-weight:normal}tr+tr td{border-top:1px solid #eef}
.bar{display:inline-block;width:120px;height:10px;border-radius:5px;background:#e4e7ee;overflow:hidden}
.bar b{display:block;height:100%;background:#5b8fb9}.bar.full b{background:#c8553d}
.warning{border-left:4px solid #e0a100;background:#fffaf0;padding:6px 12px;margin:8px 0}
.warning.down{border-color:#c0392b;background:#fdf1f0}code{overflow-wrap:anywhere}
svg{width:100%;height:auto;display:block}.wire{fill:none;stroke:#445;stroke-width:1.3}.wire.back{stroke-dasharray:4 3}
.box rect{fill:#eef3f8;stroke:#8aa5be}.box.bad rect{fill:#fdeceb;stroke:#c0392b}.box text{font-size:13px;fill:#223}
.box .kind{font-size:11px;fill:#667;text-anchor:end}.how{font-size:10px;fill:#445;
paint-order:stroke;stroke:#fff;stroke-width:4px}
.grid{stroke:#e4e7ee}.axis{font-size:11px;fill:#667;text-anchor:end}.hour{font-size:11px;fill:#667}
.legend span{display:inline-block;margin-right:14px;font-size:13px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:5px}
.odd{color:#9a3412}.none{color:#667}td,th{white-space:nowrap}section h2{margin-top:2px}
@media print{:root{background:#fff;font-size:11px}body{max-width:none;padding:0}section,article{break-inside:avoid;
border-color:#bbb}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


def page(hosts: Sequence[Host], now: float) -> str:
    """The whole page. Each host is what the role filter_report collects from it."""
    odd = _odd(hosts)
    bad = {host["name"] for host in hosts if _state(host)[0] == "down"}
    filters = [host["name"] for host in hosts if host.get("is_filter_host")]
    mails = [host["name"] for host in hosts if host.get("is_mail_host")]
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    hours = _all_hours(hosts)
    verdicts = sorted({verdict for hour in hours for verdict in hour["messages"]})
    body = [
        f"<header><h1>Mail filter report</h1><p>{_count(len(hosts), 'host')}, {when}</p></header>",
        _attention(hosts),
        (
            f"<section><h2>Wiring</h2>{topology(mails, filters, wires(hosts), bad)}"
            '<p class="small">As Postfix and the filter on each host have it now. '
            "Dashed: clean mail that comes back.</p></section>"
        ),
        (
            f"<section><h2>Messages of each hour</h2>{history(hours, 'Messages of all hosts')}{legend(verdicts)}"
            '<p class="small">Since the start of each service, two days at most; times are UTC.</p></section>'
        ),
        "<h2>Hosts</h2>",
        *[_host(host, odd, now) for host in hosts],
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Mail filter report</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _all_hours(hosts: Sequence[Host]) -> list[dict[str, Any]]:
    sums: dict[int, Counter[str]] = {}
    for host in hosts:
        for hour in (host.get("status") or {}).get("history", []):
            sums.setdefault(int(hour["start"]), Counter()).update(hour["messages"])
    return [{"start": start, "messages": dict(sums[start])} for start in sorted(sums)]


def _odd(hosts: Sequence[Host]) -> set[tuple[str, str]]:
    """Values that differ from what most filter hosts have: (what, value)."""
    found = set()
    for what in ("version", "code"):
        values = Counter(host["status"]["running"][what] for host in hosts if _running(host))
        if len(values) > 1:
            usual = values.most_common(1)[0][0]
            found |= {(what, value) for value in values if value != usual}
    return found


def _running(host: Host) -> bool:
    return bool((host.get("status") or {}).get("running"))


def _state(host: Host) -> tuple[str, str, str]:
    """Whether it is down, warns or is well (empty), the words for it, and what to do."""
    if not host.get("reachable"):
        return "down", "not reached", "see whether it is up, and whether ansible -m ping reaches it"
    if host.get("is_filter_host") and not (host["amavis"]["active"] if host.get("amavis") else _running(host)):
        unit = "amavis" if host.get("amavis") else "filter-daemon"
        return "down", "filter does not run", f"systemctl status {unit}; journalctl -u {unit}: mail waits in the queue"
    found = _filter_trouble(host["status"]) if host.get("is_filter_host") and not host.get("amavis") else ("", "")
    if not found[0] and host.get("is_mail_host") and not (host.get("postfix") or {}).get("next_hops"):
        found = "mail does not pass a filter", "run the playbook site, which wires Postfix"
    if not found[0] and any(line["state"] == "PROBLEM" for line in _checks(host)):
        found = "the self-report names problems", "see what was probed, below; the playbook verify says it again"
    return ("warn", *found) if found[0] else ("", "all is well", "")


def _filter_trouble(status: Mapping[str, Any]) -> tuple[str, str]:
    if status["warnings"]:
        return _count(len(status["warnings"]), "warning"), ""
    if status.get("drift") or status["running"]["code"] != status.get("deployed", {}).get("code"):
        return (
            "runs something else than is deployed",
            "systemctl reload filter-daemon takes over what is on disk; a restart is needed for new code",
        )
    return "", ""


def _checks(host: Host) -> list[Mapping[str, Any]]:
    if host.get("amavis"):
        return list(_amavis_checks(host["amavis"]))
    return list((host.get("check") or {}).get("checks", []))


def _amavis_checks(amavis: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What was probed of amavisd-new, in the form of the daemon's own check."""

    def line(section: str, state: str, text: str) -> Mapping[str, Any]:
        return {"section": section, "state": state, "text": text}

    for greeting in amavis.get("greetings", []):
        said = greeting.get("reply") or greeting.get("msg") or "no answer"
        good = bool(greeting.get("accepted"))
        words = "answers EHLO" if good else f"answers EHLO with {said}"
        yield line("listen", "ok" if good else "PROBLEM", f"{greeting.get('item', '?')}: {words}")
    if amavis.get("error"):
        yield line("debug start", "PROBLEM", str(amavis["error"]))
        return
    yield line("debug start", "ok", "it starts with its configuration")
    scanners = ", ".join(amavis.get("scanners", []))
    yield line("scanners", "ok" if scanners else "PROBLEM", scanners or "none: mail is not scanned for viruses")
    missing = ", ".join(f".{name}" for name in amavis.get("unpackers_missing", []))
    yield line("unpackers", "warning" if missing else "ok", f"nothing opens {missing}" if missing else "all are there")
    for complaint in amavis.get("complaints", []):
        yield line("complaint", "warning", complaint)


def _attention(hosts: Sequence[Host]) -> str:
    found = []
    for host in hosts:
        state, words, advice = _state(host)
        warnings = [(one["words"], one["advice"]) for one in (host.get("status") or {}).get("warnings", [])]
        if state and not warnings:
            said = _said(host) if state == "down" else ""
            warnings = [(f"{words}. {said}" if said else words, advice)]
        found += [
            f'<div class="{"warning down" if state == "down" else "warning"}"><b>{html.escape(host["name"])}</b>: '
            f'{html.escape(told)}<br><span class="small">To do: {html.escape(to_do)}</span></div>'
            for told, to_do in warnings
        ]
    return f"<section><h2>To be seen to</h2>{''.join(found) or '<p>Nothing: all hosts are well.</p>'}</section>"


def _said(host: Host) -> str:
    """What the filter, or who asked for it, said of why it does not run."""
    if host.get("amavis"):
        return str(host["amavis"].get("error", ""))
    return str((host.get("status") or {}).get("error") or "")


def _host(host: Host, odd: set[tuple[str, str]], now: float) -> str:
    state, words = _state(host)[:2]
    parts = [
        (
            f'<article><header><h3>{html.escape(host["name"])}</h3><span class="state {state}">{words}</span>'
            f'<span class="small">{_roles(host)}</span></header><div class="columns">'
        )
    ]
    if _running(host):
        parts += [_runs(host["status"], odd, now), _capacity(host["status"], now), _figures(host["status"])]
        parts.append(_latency(host["status"]))
    if host.get("amavis"):
        parts.append(_amavis(host["amavis"]))
    if host.get("postfix"):
        parts.append(_postfix(host["postfix"]))
    if _checks(host):
        lines = "".join(
            f"<dt>{html.escape(line['section'])}</dt><dd{' class=odd' if line['state'] != 'ok' else ''}>"
            f"{html.escape(line['state'])}: {html.escape(line['text'])}</dd>"
            for line in _checks(host)
        )
        parts.append(f"<div><h4>Probed just now</h4><dl>{lines}</dl></div>")
    return "".join([*parts, "</div></article>"]).replace("<h4>", '<p class="small">').replace("</h4>", "</p>")


def _roles(host: Host) -> str:
    names = [name for key, name in (("is_mail_host", "mail host"), ("is_filter_host", "filter host")) if host.get(key)]
    return " and ".join(names)


def _list(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return f"<div><h4>{title}</h4><dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in rows)}</dl></div>"


def _runs(status: Mapping[str, Any], odd: set[tuple[str, str]], now: float) -> str:
    running, deployed = status["running"], status.get("deployed", {})

    def marked(what: str) -> str:
        value = html.escape(str(running[what]))
        return f'<span class="odd">{value} (others run another one)</span>' if (what, running[what]) in odd else value

    rows = [
        ("version", f"{marked('version')}, {html.escape(running['interpreter'])}"),
        ("code", marked("code")),
        ("configuration", html.escape(running["fingerprint"])),
        ("running for", _age(now - running["since"])),
    ]
    if deployed.get("code") not in (None, running["code"]):
        rows.append(("on disk", f'<span class="odd">code {html.escape(deployed["code"])}</span>'))
    rows += [
        (
            html.escape(item["key"]),
            (
                f'<span class="odd">{html.escape(json.dumps(item["running"]))[:200]} runs, '
                f"{html.escape(json.dumps(item['deployed']))[:200]} is deployed</span>"
            ),
        )
        for item in status.get("drift", [])
    ]
    return _list("What runs", rows)


def _capacity(status: Mapping[str, Any], now: float) -> str:
    instances, scratch, quarantine = status["instances"], status["scratch"], status["quarantine"]
    kept, free, reserve = quarantine["bytes"] or 0, quarantine["free"], quarantine["reserve"]
    room = None if free is None else max(0, free - reserve)
    rows = [
        (
            "instances",
            capacity_bar(
                instances["in_flight"],
                instances["size"],
                f"{instances['in_flight']} of {instances['size']}, {instances['waiting']} waiting",
            ),
        ),
        (
            "scratch",
            capacity_bar(scratch["used"], scratch["capacity"], scratch["words"]),
        ),
        (
            "quarantine",
            capacity_bar(kept, None if room is None else kept + room, quarantine["words"]),
        ),
    ]
    if quarantine.get("oldest"):
        rows.append(("oldest", f"{_age(now - quarantine['oldest'])} in quarantine"))
    rows += [
        (
            "scanner",
            f"{html.escape(one['name'])}: {one['asked']} asked, {one['failed']} failed"
            + (f", signatures {_age(now - one['signatures'])} old" if one.get("signatures") else ""),
        )
        for one in status["scanners"]
    ]
    return _list("Capacity", rows)


def _figures(status: Mapping[str, Any]) -> str:
    messages = status["messages"]

    def counts(name: str) -> str:
        return html.escape(", ".join(f"{count} {word}" for word, count in messages[name].items())) or "none"

    rows = [
        ("messages", html.escape(messages["words"])),
        ("verdicts", counts("by_verdict")),
        ("recipients", counts("recipients")),
        ("given up", counts("given_up")),
        ("ledger", f"{status['ledger']['lines']} lines, {status['ledger']['failures']} lost"),
    ]
    return _list("Messages since the start", rows)


def _latency(status: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{stage}</td>"
        + "".join(f"<td>{html.escape(times['words'][word])}</td>" for word in ("average", "p50", "p95", "p99"))
        + "</tr>"
        for stage, times in status["latency"].items()
    )
    head = "<tr><th>stage</th><th>average</th><th>p50</th><th>p95</th><th>p99</th></tr>"
    return f"<div><h4>Time of a message, last five minutes</h4><table>{head}{rows}</table></div>"


def _amavis(amavis: Mapping[str, Any]) -> str:
    rows = [
        ("amavisd-new", html.escape(str(amavis.get("version", "?")))),
        ("listens", html.escape(", ".join(amavis.get("listening", [])) or "nowhere")),
        ("scanners", html.escape(", ".join(amavis.get("scanners", [])) or "none")),
    ]
    return _list("What runs", rows)


def _postfix(postfix: Mapping[str, Any]) -> str:
    hops = ", ".join(html.escape(hop) for hop in postfix.get("next_hops", [])) or "none"
    rows = [
        ("version", html.escape(str(postfix.get("version", "?")))),
        ("filter", hops),
        ("transport", f"<code>{html.escape(postfix.get('transport') or 'none')}</code>"),
    ]
    return _list("Postfix", rows)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _age(seconds: float) -> str:
    for size, word in ((172800, "day"), (7200, "hour"), (120, "minute")):
        if seconds >= size:
            unit = {"day": 86400, "hour": 3600, "minute": 60}[word]
            return _count(int(seconds // unit), word)
    return _count(max(0, int(seconds)), "second")
