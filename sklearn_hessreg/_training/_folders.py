"""Locks on the folders of skorch's Checkpoint: each serves one fit at a time."""

from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from skorch.callbacks import Checkpoint, TrainEndCheckpoint


@contextmanager
def own_folders(callbacks):
    """Lock the folders that the user's checkpoints write to; refuse shared ones.

    Clones of an estimator, as in a search, share these folders, so a clone that loads
    its best weights would load another clone's. The operating system drops the locks of
    a killed process.
    """
    parts = [item[-1] if isinstance(item, tuple) else item for item in callbacks]
    kinds = (Checkpoint, TrainEndCheckpoint)
    places = {(p.dirname, p.fn_prefix): p for p in parts if isinstance(p, kinds)}
    with ExitStack() as stack:
        for dirname, prefix in places:
            Path(dirname).mkdir(parents=True, exist_ok=True)
            lock = FileLock(Path(dirname) / f".{prefix}fit.lock", timeout=0)
            try:
                stack.enter_context(lock)
            except Timeout:
                raise ValueError(
                    f"Another fit is writing to dirname={dirname!r}, fn_prefix="
                    f"{prefix!r} of skorch's {type(places[dirname, prefix]).__name__}, "
                    "and one would load what the other has saved. Give each fit a "
                    "dirname or fn_prefix of its own, or run the fits of a search one "
                    "after another with n_jobs=1, where the last one's files remain."
                ) from None
        yield
