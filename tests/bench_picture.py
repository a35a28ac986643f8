"""The roofline: what each row of tests/bench.py does, under what the machine could.

Who does i FLOP for each byte moved does at most min(peak, i * bandwidth) of them a second
(Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785).
"""

COLORS = {"f32": "C0", "bf16": "C1"}
MEMORY = {"read": ("-", "memory, read"), "update": (":", "memory, x += z, y += z")}
AROUND = [(x, y) for y in (3, -9, 11, -17) for x in (5, -5)]    # where a number may stand: points


def roofline(machine, rows, path):
    """Draw the rows that have a point (FLOP, bytes, seconds); beside the picture, their names."""
    try:
        import matplotlib
    except ImportError:
        return print("no picture: matplotlib is absent")
    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker
    figure, (axes, names) = pyplot.subplots(1, 2, figsize=(13, 7), width_ratios=(5, 3))
    rows, roofs = [row for row in rows if row["point"] and row["ours"] > 0], machine["roofs"]
    points = [(flop / moved, flop / seconds / 1e9)
              for flop, moved, seconds in (row["point"] for row in rows)]
    top = max(roofs[dtype] for dtype in COLORS if dtype in roofs) / 1e9
    xs, ys = zip((1, roofs["read"] / 1e9), (100, top), *points)
    axes.set(xscale="log", yscale="log", xlim=(min(xs) / 2, max(xs) * 3),
             ylim=(min(ys) / 2, max(ys) * 2), xlabel="FLOP a byte, of the least that has to move",
             ylabel="GFLOP/s", title=f"{machine['name']}, threads: {machine['threads']}")
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    for axis in axes.xaxis, axes.yaxis:
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(ticker.NullFormatter())
    axes.grid(alpha=0.2)
    names.axis("off")
    names.set_title("share of the roof above", fontsize=9, loc="left")
    figure.tight_layout()

    low, high = axes.get_xlim()
    for dtype, color in COLORS.items():
        if dtype not in roofs:
            continue
        peak = roofs[dtype]
        axes.plot([peak / roofs["read"], high], [peak / 1e9] * 2, color=color)
        axes.text(high, peak / 1e9, f"{dtype} {peak / 1e9:,.0f} GFLOP/s ", color=color, ha="right",
                  va="bottom")
    for what, (style, label) in MEMORY.items():
        rate = roofs[what] / 1e9
        axes.plot([low, top / rate], [low * rate, top], style, color="0.4",
                  label=f"{label}: {rate:.0f} GB/s")
    axes.legend(loc="lower right")

    taken, pixels = [], figure.dpi / 72          # where numbers stand; pixels of a point
    for number, (row, point) in enumerate(zip(rows, points), 1):
        color = COLORS[row["dtype"]]
        axes.plot(*point, "o", color=color, markersize=4)
        x, y = axes.transData.transform(point)
        spots = [(x + dx * pixels, y + dy * pixels) for dx, dy in AROUND]
        crowd = [sum(abs(x - a) < 9 * pixels and abs(y - b) < 7 * pixels for a, b in taken)
                 for x, y in spots]
        best = crowd.index(min(crowd))
        taken.append(spots[best])
        axes.annotate(str(number), point, AROUND[best], textcoords="offset points", fontsize=7,
                      ha="center", color=color)
        share = row["of"] or point[1] * 1e9 / min(roofs[row["dtype"]], point[0] * roofs["read"])
        names.text(0, 1 - (number - 1) / max(30, len(rows)),
                   f"{number:2} {share:5.0%}  {row['what']}",
                   color=color, fontsize=8, family="monospace", va="top")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    print(path)
