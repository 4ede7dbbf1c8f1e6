"""Whole jobs side by side: the README's surname command, and the same job with tf_keras.

    python benchmarks/bench_surnames.py --peer-python ENV/bin/python --chart docs/surnames.svg

The peer's environment has ``tensorflow-cpu tf_keras``. Both processes run in turn on the same
cores; printed are the medians of wall time and peak memory, and the ratio of the paired runs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SURNAMES = ROOT / "examples/surnames"
CLASSES = "api,black,hispanic,white"

PEER = f"""
import csv, gzip, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tf_keras
sys.path.insert(0, {str(SURNAMES)!r})
import encoder
model = tf_keras.models.load_model({str(SURNAMES / "census2010_ln_lstm.h5")!r}, compile=False)
with gzip.open({str(SURNAMES / "census_2010_surnames.csv.gz")!r}, "rt", newline="") as file:
    names = [row[0] for row in csv.reader(file)][1:]
scores = model.predict(encoder.encode(names), batch_size=1024, verbose=0)
with open(sys.argv[1], "w", newline="") as file:
    file.write("name,{CLASSES}\\n")
    file.writelines("%s,%.9g,%.9g,%.9g,%.9g\\n" % (n, *s) for n, s in zip(names, scores.tolist()))
"""


def ours(output):
    return [
        *(sys.executable, "-m", "rnn_core._cli", "score"),
        *(str(SURNAMES / "census2010_ln_lstm.h5"), str(SURNAMES / "census_2010_surnames.csv.gz")),
        *("-o", output, "--columns", "name", "--keep", "name", "--names", CLASSES),
        *("--encoder", "examples.surnames.encoder:encode"),
    ]


def timed(command):
    """Return wall seconds and peak resident MB of one run."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return time.perf_counter() - begin, usage.ru_maxrss / scale


def chart(rows):
    """Return an SVG of bars, time on the left and memory on the right, of (name, seconds, MB)."""
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="110" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="720" height="110" fill="white"/>',
        '<text x="130" y="20" fill="#555">162,254 surnames: seconds</text>',
        '<text x="450" y="20" fill="#555">peak memory, MB</text>',
    ]
    for index, (name, seconds, memory) in enumerate(rows):
        y = 35 + 36 * index
        colour = "#9aa5b1" if index else "#2563eb"
        lines.append(f'<text x="120" y="{y + 17}" text-anchor="end">{name}</text>')
        for x, value, largest, text in (
            (130, seconds, max(row[1] for row in rows), f"{seconds:.1f}"),
            (450, memory, max(row[2] for row in rows), f"{memory:.0f}"),
        ):
            width = 220 * value / largest
            lines.append(f'<rect x="{x}" y="{y}" width="{width:.0f}" height="26" fill="{colour}"/>')
            lines.append(f'<text x="{x + width + 6:.0f}" y="{y + 17}">{text}</text>')
    return "\n".join([*lines, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--chart", type=Path, help="where to write an SVG of the medians")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        commands = [
            ours(f"{directory}/ours.csv"),
            [options.peer_python, "-c", PEER, f"{directory}/peer.csv"],
        ]
        runs = [[timed(command) for command in commands] for _ in range(options.runs + 1)][1:]
    rows = []
    for index, name in enumerate(("rnn-core score", "tf_keras predict")):
        seconds = statistics.median(run[index][0] for run in runs)
        memory = statistics.median(run[index][1] for run in runs)
        rows.append((name, seconds, memory))
        print(f"{name:18} {seconds:6.2f} s  {162254 / seconds:9,.0f} rows/s  {memory:5.0f} MB")
    ratio = statistics.median(peer[0] / mine[0] for mine, peer in runs)
    memory_ratio = statistics.median(peer[1] / mine[1] for mine, peer in runs)
    print(
        f"ratio              {ratio:.2f} in time, {memory_ratio:.2f} in memory; {len(runs)} pairs"
    )
    if options.chart:
        options.chart.write_text(chart(rows))


if __name__ == "__main__":
    main()
