"""HessianReinit: the method as a callback for any skorch net and the estimators."""

from functools import partial
from time import perf_counter
from typing import Any, Literal

import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import validate_parameter_constraints
from skorch.callbacks import Callback

from sklearn_hessreg._hessian import without_ddp
from sklearn_hessreg._reinit._cycles import (
    Cycles,
    Snapshot,
    column_of,
    decides,
    is_cycle_over,
    read_monitor,
)
from sklearn_hessreg._reinit._event import Event, describe_event
from sklearn_hessreg._reinit._method_parameters import (
    CALLBACK_CONSTRAINTS,
    document_parameters,
)
from sklearn_hessreg._reinit._ranks import ranks_in, share_epoch
from sklearn_hessreg._reinit._snapshots import (
    average,
    cut_off,
    end_cycle,
    resume,
    watch_epoch,
)
from sklearn_hessreg._reinit._trained_module import (
    has_lazy_parameters,
    initialise_lazy_parameters,
    unwrapped,
)
from sklearn_hessreg._typing import (
    Aggregation,
    Curvature,
    Granularity,
    Importance,
    Initializer,
    OptimizerState,
    Rows,
    Scope,
)

KEPT_EVENTS = 1000  # of earlier trainings, kept in the record


@document_parameters()
class HessianReinit(Callback):
    """Re-initialise the weights of highest curvature between a skorch net's epochs.

    Training runs in cycles. At the end of each cycle the network is kept as a snapshot.
    At the start of the next epoch, the exact Hessian of the net's loss is reduced to
    one score per weight for each of the last ``n`` layers, and the top ``k`` percent of
    the weights are redrawn. Nothing is re-initialised after the last update, so scores,
    checkpoints and the returned net (the last snapshot) have trained weights.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    reinit_history_ : list of dict
        One record per event and layer: ``epoch`` (the epoch that starts with the event,
        counted from 1 since the net was initialised), ``cycle`` (the cycle that begins
        with it, from 2 on), ``monitored`` (the previous cycle's value, NaN if there is
        none), ``layer``, ``count`` (weights or units redrawn), ``overlap`` (share of
        these that the previous event also redrew, NaN if there is none),
        ``unit_share`` (float32 array: the share redrawn of each output unit's weights;
        in other layers, of each row of the weight), ``score_min`` and ``score_max``
        over the layer, ``seconds`` (of the whole event, all layers).
    snapshots_ : list of Bunch
        The networks kept: ``cycle`` (from 1), ``epoch`` (its last), ``score`` (the
        monitored value, None if nothing was monitored), ``weights`` (read-only arrays
        by their names in the module's ``state_dict``). A cycle that the end of training
        cut off is included if it is the first, or no worse than the worst of the
        others. With ``k=0`` the list is empty.
    is_complete : bool
        Whether ``n_snapshots`` are kept under ``reinit_every="plateau"``.
    has_ended_training : bool
        Whether training has ended because they are. ``partial_fit`` may go on.

    Raises
    ------
    ValueError
        When training begins: if a parameter has a value that is not allowed; if ``n``
        is larger than the number of trainable weight layers; if one of the last ``n``
        layers cannot be scored (see :func:`hessian_scores`); if the initializer's draw
        has the wrong shape or is not finite; if the function given as ``importance``
        returns something other than scores; or if the optimizer's state cannot be reset
        for single weights. At the end of an epoch: if the history has no column
        ``monitor``. At the end of a cycle: if that column was never finite in it. At an
        event: if scores are not finite. No weight has been changed then. With several
        processes, also if they differ in weights, samples or parameters.

    Notes
    -----
    Once ``n_snapshots`` are kept at a plateau, training ends in the way skorch's
    EarlyStopping ends it, so callbacks after this one do not see the end of that epoch.
    ``partial_fit`` continues where training stopped, even in mid-cycle, and keeps the
    last ``n_snapshots``.

    With several processes, the weights (and with ``"replicated"`` the samples) are
    compared before the first epoch, and the weights again at each event; ranks that
    differ get an error. All ranks draw with the first rank's generator. With
    ``"sharded"`` the Hessian samples are drawn from the rows of all ranks and sent to
    all. Scoring is shared out as in :func:`hessian_scores`. Redrawn weights and, at the
    end of an epoch, the buffers are those of the first rank. The monitored value is the
    mean over the ranks, so all ranks end their cycles together.

    The loss is the net's own ``get_loss`` with ``training=False`` on the outputs of
    ``module_`` in evaluation mode, without ``torch.compile``. All Hessian samples are
    one batch of the net's ``iterator_valid``. From an ``IterableDataset`` they are
    drawn in one more pass over it at each event. The row of an embedding's
    ``padding_idx``, which training never changes, takes no part and is not counted.
    Scoring keeps its temporaries within scikit-learn's ``working_memory`` (see
    :func:`sklearn.config_context`), as far as :func:`hessian_scores` can.

    References
    ----------
    Rahimi, Kodliuk, Benchekroun, "Using Hessians as a Regularization Technique",
    LOD 2020, doi:10.1007/978-3-030-64583-0_4.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import make_classification
    >>> from skorch import NeuralNetClassifier
    >>> from sklearn_hessreg import HessianReinit
    >>> X, y = make_classification(random_state=0)
    >>> net = NeuralNetClassifier(
    ...     lambda: torch.nn.Sequential(
    ...         torch.nn.Linear(20, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)
    ...     ),
    ...     criterion=torch.nn.CrossEntropyLoss,
    ...     max_epochs=3,
    ...     callbacks=[
    ...         ("hessian", HessianReinit(k=25, n=2, reinit_every=1, random_state=0))
    ...     ],
    ...     verbose=0,
    ... )
    >>> X = X.astype("float32")
    >>> method = dict(net.fit(X, y).callbacks_)["hessian"]
    >>> [(r["epoch"], r["layer"], r["count"]) for r in method.reinit_history_]
    [(2, '0', 40), (2, '2', 4), (3, '0', 40), (3, '2', 4)]
    >>> [snapshot.epoch for snapshot in method.snapshots_]
    [1, 2, 3]
    >>> method.average(net, X).shape
    (100, 2)
    """

    def __init__(
        self,
        k: float = 70,
        n: int | None = 1,
        aggregation: Aggregation = "mean",
        initializer: Initializer = "xavier_uniform",
        granularity: Granularity = "weight",
        scope: Scope = "layer",
        curvature: Curvature = "per_sample",
        importance: Importance = "hessian",
        reinit_every: int | Literal["plateau"] = "plateau",
        n_snapshots: int = 10,
        reinit_until: int | None = None,
        hessian_samples: int | None = 256,
        optimizer_state: OptimizerState = "reset",
        monitor: str = "auto",
        lower_is_better: bool = True,
        load_best: bool = False,
        tol: float = 1e-4,
        n_iter_no_change: float = 10,
        random_state: int | None = None,
        rows: Rows | None = "replicated",
    ) -> None:
        self.k = k
        self.n = n
        self.aggregation = aggregation
        self.initializer = initializer
        self.granularity = granularity
        self.scope = scope
        self.curvature = curvature
        self.importance = importance
        self.reinit_every = reinit_every
        self.n_snapshots = n_snapshots
        self.reinit_until = reinit_until
        self.hessian_samples = hessian_samples
        self.optimizer_state = optimizer_state
        self.monitor = monitor
        self.lower_is_better = lower_is_better
        self.load_best = load_best
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.rows = rows

    def initialize(self):
        """Forget all cycles and reseed the generator."""
        self.generator_ = torch.Generator(device="cpu")
        if self.random_state is None:
            self.generator_.seed()
        else:
            self.generator_.manual_seed(int(self.random_state))
        self.cycles_ = Cycles()
        self.records_ = []
        self.masks_ = {}
        return self

    @property
    def reinit_history_(self) -> list[dict[str, Any]]:
        """The records of all events; later events do not change the returned list."""
        return list(self.records_)

    @property
    def snapshots_(self) -> list[Snapshot]:
        """The snapshots; later cycles do not change the returned list."""
        return self.cycles_.members(self.n_snapshots)

    @property
    def is_complete(self) -> bool:
        """Whether ``n_snapshots`` are kept at plateaus, which ends training."""
        bounded = self.reinit_every == "plateau" and self.k > 0
        return bounded and len(self.cycles_.kept) >= self.n_snapshots

    @property
    def has_ended_training(self) -> bool:
        """Whether training has ended because all ``n_snapshots`` are kept."""
        return self.is_complete and self.cycles_.is_due

    def average(self, net: Any, X: Any, method: str = "predict_proba") -> Any:
        """Average the predictions of all snapshots.

        Parameters
        ----------
        net : skorch net
            The net that this callback belongs to. Its module's weights are the same
            afterwards as before.
        X : input data
            As the net takes it.
        method : str, default="predict_proba"
            Which of the net's methods to average: ``"predict_proba"`` of a classifier,
            ``"predict"`` of a regressor. It must return an array.

        Returns
        -------
        ndarray
            The mean of what the method returns with each snapshot's weights.
        """
        snapshots = self.snapshots_ if hasattr(self, "cycles_") else []
        if not snapshots:
            raise NotFittedError(
                "There is no snapshot to predict with: the net has not been trained "
                f"with this callback, or with k=0 (now k={self.k!r}). Call the net's "
                f"fit first, or its own {method}."
            )
        module = unwrapped(net).module_
        if without_ddp(net.module_) is not net.module_:
            net = unwrapped(net)  # asks nothing of other ranks
        return average(net, module, snapshots, method, X)

    def __getstate__(self):
        state = vars(self).copy()
        if "generator_" in state:
            state["records_"] = list(self.records_)  # copies share no list
            state["generator_"] = self.generator_.get_state().numpy()
            state["masks_"] = {name: mask.numpy() for name, mask in self.masks_.items()}
            state["cycles_"] = self.cycles_.to_plain()
        return state

    def __setstate__(self, state):
        vars(self).update(state)
        if "generator_" in state:
            self.generator_ = torch.Generator(device="cpu")
            self.generator_.set_state(torch.from_numpy(state["generator_"].copy()))
            self.masks_ = {
                name: torch.from_numpy(mask.copy())
                for name, mask in state["masks_"].items()
            }
            self.cycles_ = Cycles.from_plain(state["cycles_"])

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Refuse, before training, what would only fail during it."""
        name = type(self).__name__
        validate_parameter_constraints(CALLBACK_CONSTRAINTS, self.get_params(), name)
        # if every epoch is its own training, records would grow without end
        n = int(self.n or max(1, len(self.masks_)))
        del self.records_[: -KEPT_EVENTS * n]
        net = unwrapped(net)
        if self.k > 0 and not has_lazy_parameters(net):
            self._event(net).check()
        self.cycles_ = resume(self, net.module_)

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Re-initialise, if an event is due at the start of this epoch."""
        self.cycles_ = self.cycles_.begin_epoch()
        if self.k == 0:
            return
        net = unwrapped(net)
        if has_lazy_parameters(net):
            initialise_lazy_parameters(net, dataset_train)
            self._event(net).check()
        if self.cycles_.epochs == 1:
            self._event(net).probe(dataset_train)
        elif self.cycles_.is_due:
            self._reinitialise(net, dataset_train)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Count the epoch, and end the cycle or the training if it is over."""
        if self._end_epoch(net) and self.is_complete:
            if net.verbose:
                print(f"{len(self.snapshots_)} networks are kept. Stopping.")
            raise KeyboardInterrupt  # skorch's way to end the training

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Restore the last snapshot's network, a cut-off cycle's if it counts.

        An epoch in which an earlier callback ended the training is counted.
        """
        if self.cycles_.ended < self.cycles_.epochs:
            self._end_epoch(net, cut=True)
        self._cut_off_cycle(net)

    def _cut_off_cycle(self, net):
        """Keep the network of a cycle under way if it counts; restore the last kept."""
        if self.k > 0 and self.cycles_.is_under_way:
            self.cycles_ = cut_off(self, unwrapped(net).module_)

    @property
    def _watches(self):
        """Whether the epochs are compared with each other."""
        return self.k > 0

    def _read_score(self, net):
        """Return the monitored value of the epoch that has ended."""
        read = partial(read_monitor, self, net.history[-1])
        return share_epoch(ranks_in(self.rows), unwrapped(net).module_, read)

    def _has_plateaued(self, net):
        """Return whether the monitored value has reached a plateau."""
        return self.cycles_.plateau.is_reached(self.n_iter_no_change)

    def _is_cycle_over(self, net):
        """Return whether the epoch that has ended ends a cycle; with k=0 none does."""
        plateaued = self._has_plateaued(net)
        return self.k > 0 and is_cycle_over(
            self.cycles_, self.reinit_every, self.reinit_until, plateaued
        )

    def _check_best(self, net):
        """Refuse a cycle without a best epoch, if one is needed."""
        cycles = self.cycles_
        if cycles.plateau.best is None and decides(self):
            raise ValueError(
                f"The column monitor={self.monitor!r} was never finite in the last "
                f"{cycles.plateau.misses} epochs (now {cycles.score}), so this cycle "
                "has no best epoch. Monitor another column, lower the learning rate, "
                "or scale the inputs."
            )

    def _event(self, net):
        """Create an event with these hyperparameters."""
        return Event(self, net, self.generator_, ranks_in(self.rows))

    def _reinitialise(self, net, dataset):
        """Re-initialise and record, at the start of an epoch."""
        start = perf_counter()
        scores, masks = self._event(net).run(dataset)
        seconds = perf_counter() - start
        self.records_ += describe_event(
            self.cycles_, scores, masks, self.masks_, seconds
        )
        self.masks_ = masks
        self.cycles_ = self.cycles_.begin_cycle()

    def _end_epoch(self, net, cut=False):
        """Count an epoch and return whether a cycle ended with it.

        An epoch that was cut off before its end, and so has no score, ends no cycle.
        """
        self.cycles_ = self.cycles_.end_epoch()
        row = net.history[-1]
        if not self._watches or (cut and column_of(self, row) not in row):
            return False
        module = unwrapped(net).module_
        self.cycles_ = watch_epoch(self, module, self._read_score(net))
        if not self._is_cycle_over(net):
            return False
        self._check_best(net)
        self.cycles_ = end_cycle(self, module)
        return True
