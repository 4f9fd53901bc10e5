"""The picture of the demo's report, drawn from what it has really printed.

Every word has its own place and width, so that columns stay columns whatever font a reader's system has; the first font of the
list has every glyph that the report uses.
"""

import re
from html import escape, unescape

FONTS = "'DejaVu Sans Mono', Menlo, Consolas, monospace"
SIZE, WIDTH, HEIGHT, EDGE = 14, 8.43, 20, 16
COLOURS = {"✓": "#7ee787", "✗": "#ff7b72", "$": "#8b949e"}
# From here on the report names files of the machine that it ran on.
LAST = re.compile(r"the totals leave |of the totals")


def shown(command, output):
    """The lines of the picture: the command, and the report as far as it is the same everywhere."""
    lines = [f"$ {command}"]
    for line in output.splitlines():
        lines.append(line.rstrip())
        if LAST.search(line):
            break
    return lines


def render(lines):
    columns = max(map(len, lines))
    width, height = round(columns * WIDTH + 2 * EDGE), len(lines) * HEIGHT + 2 * EDGE
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{FONTS}" font-size="{SIZE}" fill="#e6edf3">',
        '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
    ]
    for number, line in enumerate(lines):
        words = []
        for word in re.finditer(r"\S+", line):
            x, length = EDGE + word.start() * WIDTH, len(word[0]) * WIDTH
            colour = f' fill="{COLOURS[word[0]]}"' if word[0] in COLOURS else ""
            words.append(f'<tspan x="{x:.1f}" textLength="{length:.1f}"{colour}>{escape(word[0])}</tspan>')
        out.append(f'<text y="{EDGE + (number + 1) * HEIGHT - 6}">{" ".join(words)}</text>')
    return "\n".join([*out, "</svg>", ""])


def texts(svg):
    """The lines that a picture shows, without their blanks."""
    lines = re.findall(r"<text [^>]*>(.*?)</text>", svg)
    return [unescape(" ".join(re.findall(r"<tspan [^>]*>([^<]*)</tspan>", line))) for line in lines]
