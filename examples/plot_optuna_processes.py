"""
Optuna on several processes that prune running trials
=====================================================

You learn to let several processes search together, and to end bad trials early.

Two processes search here. They share nothing but a file, Optuna's journal, which
may as well lie where several machines see it. A trial is one call of ``fit``, which
reports every epoch; where a trial is worse than the others were, the pruner ends it.
It needs scikit-learn 1.9 and Optuna 4.
"""

import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import optuna
from joblib import Parallel, delayed
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from sklearn_hessreg import HessianRegularizedMLPClassifier

X, y = load_digits(return_X_y=True)
X, X_valid, y, y_valid = train_test_split(X / 16, y, stratify=y, random_state=0)

# %%
# A callback reports an epoch and asks whether to go on. ``TrialPruned`` ends ``fit``.
# skorch's callbacks are a parameter of the estimator, and read the net's history. What
# is reported is the accuracy on the rows that early stopping sets aside.


def report(trial, score, epoch):
    """Report an epoch's score, and give the trial up if the pruner says so."""
    trial.report(score, epoch)
    if trial.should_prune():
        raise optuna.TrialPruned


class BySkorch(Callback):
    """Report what the net's history has."""

    def __init__(self, trial):
        self.trial = trial

    def on_epoch_end(self, net, **kwargs):
        """Report an epoch."""
        report(self.trial, net.history[-1, "valid_acc"], len(net.history))


# %%
# scikit-learn's callbacks are set on the estimator, and are handed the model as it
# would be if training ended now. It could be scored on data of one's own; here the same
# is reported, since the pruner compares all trials.


class BySklearn:
    """Report what the model has after an epoch."""

    def __init__(self, trial):
        self.trial = trial

    def setup(self, estimator, context):
        """Do nothing before ``fit``."""

    def on_fit_task_begin(self, estimator, context):
        """Do nothing before an epoch."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        """Report an epoch."""
        if context.task_name == "epoch":
            score = fitted_estimator.validation_scores_[-1]
            report(self.trial, score, context.task_id + 1)

    def teardown(self, estimator, context):
        """Do nothing after ``fit``."""


# %%
# Each process opens the journal and takes part in the study. Here one reports by
# skorch's callbacks, the other by scikit-learn's; one of the two is enough for you.
# Samplers of the same seed would try the same values first.


def search(journal, process):
    """Add ten trials to the study in a journal."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # 25 epochs are few
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        trial.set_user_attr("process", process)
        clf = HessianRegularizedMLPClassifier(
            k=trial.suggest_int("k", 0, 90),
            learning_rate_init=trial.suggest_float("lr", 3e-4, 3e-2, log=True),
            early_stopping=True,  # with k=0 too, so that each epoch has a score
            scoring=None,
            n_iter_no_change=3,
            max_iter=25,
            random_state=0,
        )
        if process == 0:
            clf.set_params(skorch_callbacks=[BySkorch(trial)])
        else:
            clf.set_callbacks(BySklearn(trial))
        return clf.fit(X, y).score(X_valid, y_valid)

    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(journal)),
        study_name="digits",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=process),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=3),
    )
    study.optimize(objective, n_trials=10)
    return study.trials


with tempfile.TemporaryDirectory() as folder:
    journal = str(Path(folder) / "journal.log")
    Parallel(n_jobs=2)(delayed(search)(journal, process) for process in range(2))
    storage = JournalStorage(JournalFileBackend(journal))
    study = optuna.load_study(study_name="digits", storage=storage)
    trials, best = study.trials, study.best_trial

# %%
# A process knows the trials of both. Which trials are pruned depends on which have
# come to the same epoch before, so no two runs are alike.

print(f"{'process':>7}{'trials':>8}{'pruned':>8}{'epochs':>8}")
for process in range(2):
    own = [trial for trial in trials if trial.user_attrs["process"] == process]
    pruned = sum(trial.state.name == "PRUNED" for trial in own)
    epochs = sum(len(trial.intermediate_values) for trial in own)
    print(f"{process:7}{len(own):8}{pruned:8}{epochs:8}")
print(f"best: {best.value:.3f} with k={best.params['k']}, lr={best.params['lr']:.2g}")

# %%
# Crosses end the pruned trials. ``MedianPruner`` compares the best epoch that a trial
# has had so far, so a trial is not given up for the epochs after a re-initialisation.

fig, ax = plt.subplots(layout="constrained")
for trial in trials:
    epochs, scores = zip(*sorted(trial.intermediate_values.items()), strict=True)
    marker = "X" if trial.state.name == "PRUNED" else "o"
    colour = f"C{trial.user_attrs['process']}"
    ax.plot(epochs, scores, colour, marker=marker, markevery=[-1], lw=0.8)
for process, name in enumerate(("skorch's callbacks", "scikit-learn's callbacks")):
    ax.plot([], [], f"C{process}", label=f"process {process}, {name}")
ax.set(
    title="One search by two processes", xlabel="epoch", ylabel="validation accuracy"
)
ax.legend()
plt.show()
