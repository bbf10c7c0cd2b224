"""Cycles, snapshots and the stopping rule, to the bit beside a plain loop."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
VALID = slice(0, None, 3)  # rows that validate; all others train
TRAIN = np.setdiff1d(np.arange(len(Y)), np.arange(len(Y))[VALID])
LR, BATCH, K = 0.2, 25, 30


@dataclass
class Plain:
    """What the plain loop has come to."""

    snapshots: list = field(default_factory=list)
    scores: list = field(default_factory=list)
    epochs: list = field(default_factory=list)
    events: list = field(default_factory=list)
    n_iter: int = 0


def glorot(random_state):
    """Draw weights as scikit-learn does, for 4-8-6-3 units."""
    parameters = []
    for fan_in, fan_out in ((4, 8), (8, 6), (6, 3)):
        bound = np.sqrt(6 / (fan_in + fan_out))
        W = random_state.uniform(-bound, bound, (fan_in, fan_out)).T
        b = random_state.uniform(-bound, bound, fan_out)
        parameters += [torch.from_numpy(W.copy()), torch.from_numpy(b)]
    return [p.requires_grad_() for p in parameters]


def outputs(parameters, rows):
    h = torch.from_numpy(rows)
    for i in range(0, 6, 2):
        h = torch.nn.functional.linear(h, *parameters[i : i + 2])
        h = h.relu() if i < 4 else h
    return h


def accuracy(parameters, rows):
    with torch.no_grad():
        right = outputs(parameters, X[rows]).argmax(1).numpy() == Y[rows]
    return float(right.sum() / len(right))


def rotate(random_state):
    """Yield rows that train and rows that validate, a quarter of them in turn."""
    every = np.arange(len(Y))
    while True:
        train, valid = train_test_split(
            every, test_size=0.25, stratify=Y, random_state=random_state
        )
        yield train, valid
        rest = [i for label in (0, 1, 2) for i in train if Y[i] == label]
        for fold in (rest[0::3], rest[1::3], rest[2::3]):
            yield np.setdiff1d(every, fold), np.array(fold)


def copies(parameters):
    return [p.detach().clone() for p in parameters]


@torch.no_grad()
def write(parameters, values):
    for p, value in zip(parameters, values, strict=True):
        p.copy_(value)


@torch.no_grad()
def reinitialise(parameters, generator):
    """Redraw the top K percent of the last two layers' weights by magnitude."""
    drawn = []
    for W in (parameters[2], parameters[4]):
        fresh = torch.empty(W.shape, dtype=W.dtype)
        drawn.append(torch.nn.init.xavier_uniform_(fresh, generator=generator))
    for W, fresh in zip((parameters[2], parameters[4]), drawn, strict=True):
        count = -(-K * W.numel() // 100)
        top = W.abs().flatten().argsort(descending=True, stable=True)[:count]
        W.view(-1)[top] = fresh.view(-1)[top]


def plain_loop(
    every, max_iter, n_snapshots, patience, tol, early_stopping, drawn=False
):
    """Train with SGD, in cycles; accuracy on other rows or the loss is watched.

    The other rows are drawn, and at a plateau they rotate, or they are always the same.
    """
    result, random_state = Plain(), np.random.RandomState(0)
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    generator = torch.Generator().manual_seed(seed)
    parameters = glorot(random_state)
    optimizer = torch.optim.SGD(parameters, lr=LR)
    splits = rotate(random_state)
    train, valid = next(splits) if drawn else (TRAIN, VALID)
    order, due, sign = np.arange(len(train)), False, 1 if early_stopping else -1
    best, misses, kept, began = -np.inf, 0, None, 0
    for epoch in range(1, max_iter + 1):
        if due:
            reinitialise(parameters, generator)
            result.events.append(epoch)
            due = False
        if len(order) != len(train):
            order = np.arange(len(train))
        order = order[random_state.permutation(len(order))]
        losses, sizes = [], []
        for start in range(0, len(order), BATCH):
            rows = train[order[start : start + BATCH]]
            optimizer.zero_grad()
            z = outputs(parameters, X[rows])
            loss = torch.nn.functional.cross_entropy(z, torch.from_numpy(Y[rows]))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            sizes.append(len(rows))
        result.n_iter = epoch
        loss = np.average(losses, weights=sizes)
        value = accuracy(parameters, valid) if early_stopping else float(loss)
        misses = 0 if sign * value >= best + tol else misses + 1
        if sign * value > best:
            best = sign * value
            kept = copies(parameters) if early_stopping else None
        over = misses > patience if every == "plateau" else epoch % every == 0
        if over:
            if kept is not None:
                write(parameters, kept)
            result.snapshots.append(copies(parameters))
            result.scores.append(sign * best if early_stopping else value)
            result.epochs.append(epoch)
            due, best, misses, kept, began = True, -np.inf, 0, None, epoch
            if every == "plateau" and len(result.snapshots) == n_snapshots:
                break
            if every == "plateau" and drawn:
                train, valid = next(splits)
        elif misses > patience:
            break
    if began < result.n_iter:  # a cycle that was cut off
        if kept is not None:
            write(parameters, kept)
        value = sign * best if early_stopping else value
        recent = result.scores[-n_snapshots:]
        if not recent or sign * value >= min(sign * s for s in recent):
            result.snapshots.append(copies(parameters))
            result.scores.append(value)
            result.epochs.append(result.n_iter)
    for part in (result.snapshots, result.scores, result.epochs):
        del part[:-n_snapshots]
    return result


CASES = {
    "plateau of the loss, all snapshots": ("plateau", 300, 3, 4, 1e-3, False),
    "plateau of the loss, cut off": ("plateau", 60, 10, 4, 1e-3, False),
    "plateau of the score": ("plateau", 80, 10, 3, 1e-4, True),
    "plateau of the score, all snapshots": ("plateau", 200, 3, 3, 1e-4, True),
    "no plateau": ("plateau", 5, 10, 10, 1e-4, False),
    "every epoch": (1, 12, 4, 10, 1e-4, False),
    "every fifth epoch, cut off": (5, 23, 10, 10, 1e-4, False),
    "every fifth epoch by score": (5, 23, 3, 10, 1e-4, True),
    "stopped within a long cycle": (40, 100, 10, 3, 1e-2, False),
    "plateau of the score, drawn rows": ("plateau", 80, 10, 3, 1e-4, True, True),
    "drawn rows, all snapshots": ("plateau", 200, 3, 3, 1e-4, True, True),
    "every fifth epoch, drawn rows": (5, 23, 3, 10, 1e-4, True, True),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def both(request):
    every, max_iter, n_snapshots, patience, tol, early_stopping, *drawn = request.param
    clf = HessianRegularizedMLPClassifier(
        (8, 6),
        k=K,
        n=2,
        importance="magnitude",
        reinit_every=every,
        n_snapshots=n_snapshots,
        solver=torch.optim.SGD,
        learning_rate_init=LR,
        alpha=0,
        batch_size=BATCH,
        max_iter=max_iter,
        n_iter_no_change=patience,
        tol=tol,
        early_stopping=early_stopping,
        scoring=None,
        validation_fraction=0.25,
        random_state=0,
    )
    if drawn:
        clf.fit(X, Y)
    else:
        clf.fit(X[TRAIN], Y[TRAIN], X_val=X[VALID], y_val=Y[VALID])
    return clf, plain_loop(*request.param)


def test_snapshots_are_the_plain_loops(both):
    clf, plain = both
    assert [s.epoch for s in clf.snapshots_] == plain.epochs
    assert [s.score for s in clf.snapshots_] == plain.scores
    for snapshot, parameters in zip(clf.snapshots_, plain.snapshots, strict=True):
        for i in range(3):
            W, b = (p.numpy() for p in parameters[2 * i : 2 * i + 2])
            assert np.array_equal(snapshot.coefs[i], W.T)
            assert np.array_equal(snapshot.intercepts[i], b)


def test_events_and_the_end_are_the_plain_loops(both):
    clf, plain = both
    assert sorted({r["epoch"] for r in clf.reinit_history_}) == plain.events
    assert clf.n_iter_ == plain.n_iter


def test_the_net_is_that_of_the_last_snapshot(both):
    clf, _ = both
    for coef, last in zip(clf.coefs_, clf.snapshots_[-1].coefs, strict=True):
        assert np.array_equal(coef, last)


def test_predictions_are_the_mean_of_the_plain_networks(both):
    clf, plain = both
    with torch.no_grad():
        proba = np.mean([outputs(p, X).softmax(1).numpy() for p in plain.snapshots], 0)
    # softmax and means of ten numbers at most
    np.testing.assert_allclose(clf.predict_proba(X), proba, atol=20 * 2**-52)
    np.testing.assert_allclose(
        clf.predict_log_proba(X), np.log(proba), atol=1e-12, rtol=1e-12
    )
    assert np.array_equal(clf.predict(X), clf.predict_proba(X).argmax(1))


def test_training_that_does_not_converge_is_that_without_the_method():
    options = {"max_iter": 8, "random_state": 0, "early_stopping": False}
    with pytest.warns(ConvergenceWarning, match=r"no weight was re-initialised"):
        default = HessianRegularizedMLPClassifier(**options).fit(X, Y)
    plain = HessianRegularizedMLPClassifier(k=0, **options).fit(X, Y)
    assert np.array_equal(default.predict_proba(X), plain.predict_proba(X))
