"""Why does a cycle need fewer epochs than a network that is trained from scratch?

A cycle begins with what the event left: 30 % of the weights, all biases, and Adam's
count of steps, though not its moments. The arms take these away one after the other, up
to cycles whose networks begin as new ones. ``ten networks`` are trained apart, with the
same stopping, once more with three times the learning rate: after an event Adam's
counted steps and its empty moments make steps of up to three times the learning rate. A
run is a row as in ``study.keel``, with the epochs of all networks. Tables have at most
1,000 rows.
"""

import torch
from skorch.callbacks import Callback

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study import keel
from study.runner import Study


class Forget(Callback):
    """Redraw the biases at each event, and let the optimizer begin anew if asked."""

    def __init__(self, optimizer=False):
        self.optimizer = optimizer

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Act in the epochs that begin with an event."""
        epoch = net.history[-1, "epoch"]
        events = {record["epoch"] for record in net.method.reinit_history_}
        if epoch not in events:
            return
        generator = torch.Generator().manual_seed(epoch)
        for layer in net.module_.layers:
            bound = (6 / sum(layer.weight.shape)) ** 0.5
            with torch.no_grad():
                layer.bias.uniform_(-bound, bound, generator=generator)
        if self.optimizer:
            net.optimizer_.state.clear()


ARMS = {
    "ours": {},
    "k=100": {"k": 100},
    "k=100, biases too": {"k": 100, "skorch_callbacks": [Forget()]},
    "k=100, biases, steps": {"k": 100, "skorch_callbacks": [Forget(optimizer=True)]},
    "ours, rate x 3": {"learning_rate_init": 0.003},
}
TEN = {"ten networks": {}, "ten networks, rate x 3": {"learning_rate_init": 0.003}}
TABLES = (
    *("australian", "bands", "breast", "bupa", "crx", "german", "hayes-roth", "heart"),
    *("housevotes", "ionosphere", "iris", "led7digit", "mammographic", "monk-2"),
    *("movement_libras", "pima", "saheart", "sonar", "tae", "tic-tac-toe", "vehicle"),
    *("vowel", "wdbc", "wine", "wisconsin"),
)


def run(key, epochs, quick):
    """Fit one arm on one table; return its one row."""
    dataset, noise, arm, seed = key
    if arm in TEN:
        model = keel.ten_by_loss(seed, max_iter=epochs, **TEN[arm])
    else:
        model = HessianRegularizedMLPClassifier(
            **ARMS[arm], max_iter=epochs, random_state=seed
        )
    return [keel.measure(model, *keel.load(dataset, noise, seed, quick))]


STUDY = Study(
    name="restart",
    run=run,
    columns=keel.COLUMNS,
    datasets=TABLES,
    noises=(0, 0.2, 0.4),
    arms=[*ARMS, *TEN],
    seeds=2,
    epochs=1000,
    file="tables",
)
main = STUDY.main

if __name__ == "__main__":
    main()
