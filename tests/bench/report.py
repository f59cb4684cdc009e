"""Tables in Markdown and a picture of the ratios."""
import html

UNITS = {
    "us": "server CPU, us per request",
    "rps": "requests per second",
    "used": "used_memory, bytes per element",
    "resident": "resident memory, bytes per element",
    "ms": "longest stall, ms",
    "s": "seconds",
    "lag": "lag between due time and expired event, ms",
    "cpu": "share of one CPU while they expire",
    "hits": "hit ratio at maxmemory 50mb",
    "share": "resident memory after deleting 90 % of 5 M keys, share of the peak",
}
MORE_IS_BETTER = {"rps", "hits"}


def best(peers, unit):
    return (max if unit in MORE_IS_BETTER else min)(peers) if peers else None


def servers_of(rows, names):
    """The servers a table has figures of, which may have been measured in another run than the last; ours is the last."""
    there = {n for by in rows.values() for n in by}
    others = [n for n in names[:-1] if n in there] + sorted(there - set(names))
    return others + names[-1:]


def table(unit, rows, names):
    names = servers_of(rows, names)
    out = [f"### {UNITS[unit]}", "", "| | " + " | ".join(names) + " | to the best peer |", "|---|" + "---:|" * (len(names) + 1)]
    for row, by in rows.items():
        peers = [by[n] for n in names[:-1] if by.get(n)]
        ours, other = by.get(names[-1]), best(peers, unit)
        ratio = f"{ours / other:.2f}" if ours and other else "-"
        show = lambda v: "-" if v is None else (f"{v:,.0f}" if v >= 1000 else f"{v:.2f}" if v >= 1 else f"{v:.3f}")
        out.append(f"| {row} | " + " | ".join(show(by.get(n)) for n in names) + f" | {ratio} |")
    return "\n".join(out) + "\n"


def picture(results, names):
    """Bars of ours over the best peer, CPU per request: shorter is better, the line is the peer."""
    rows = []
    for part in ("throughput", "commands"):
        for row, by in results.get(part, {}).get("us", {}).items():
            peers = [by[n] for n in names[:-1] if by.get(n)]
            # A row without a server is there to compare with.
            if by.get(names[-1]) and peers and "(no server)" not in row:
                rows.append((row, by[names[-1]] / min(peers)))
    high, left, scale = 18, 190, 300
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + int(scale * 1.5)}" height="{high * len(rows) + 50}" font-family="sans-serif" font-size="12">']
    svg.append(f'<text x="8" y="18">Server CPU per request over the better of {html.escape(", ".join(names[:-1]))}</text>')
    for i, (row, ratio) in enumerate(rows):
        y = 30 + i * high
        width = min(ratio, 1.4) * scale
        colour = "#2a7" if ratio <= 0.8 else "#8a4" if ratio <= 1 else "#c53"
        svg.append(f'<text x="8" y="{y + 12}">{html.escape(row)}</text><rect x="{left}" y="{y}" width="{width:.0f}" height="{high - 4}" fill="{colour}"/>')
        svg.append(f'<text x="{left + width + 4:.0f}" y="{y + 12}">{ratio:.2f}</text>')
    svg.append(f'<line x1="{left + scale}" x2="{left + scale}" y1="26" y2="{30 + high * len(rows)}" stroke="#000"/></svg>')
    return "\n".join(svg)
