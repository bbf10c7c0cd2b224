"""README's example, which is also the landing page's."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLE, SHOWN = re.search(
    r"```python\n(.+?)```\n\n((?: {4}[^\n]+\n)+)", README, re.S
).groups()


def test_example_prints_the_lines_that_follow_it_but_for_their_figures(capsys):
    exec(EXAMPLE, {})
    without_figures = [
        re.sub(r"\d+(\.\d+)?", "#", text).split()
        for text in (capsys.readouterr().out, SHOWN)
    ]
    assert without_figures[0] == without_figures[1]
