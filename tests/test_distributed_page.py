"""The program of the page on several processes, on two ranks."""

import re
from pathlib import Path

from ranks import torchrun

PAGE = Path(__file__).parents[1] / "docs" / "distributed.md"
LAST = """
events = dict(net.callbacks_)["hessian"].reinit_history_
found = [*net.module_.parameters(), *scores.values()]
with open(f"{rank}.txt", "w") as file:
    print(len(events), *(x.sum().item() for x in found), file=file)
"""


def test_the_page_on_several_processes_runs_and_all_ranks_end_alike(
    tmp_path, monkeypatch
):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    program = tmp_path / "train.py"
    program.write_text("\n".join([*blocks[:-1], LAST, blocks[-1]]))
    monkeypatch.chdir(tmp_path)
    done = torchrun(program)
    assert done.returncode == 0, done.stderr
    first, second = ((tmp_path / f"{rank}.txt").read_text() for rank in range(2))
    assert first == second
    assert first.startswith("2 ")
