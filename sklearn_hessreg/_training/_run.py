"""train: the only engine, from checked arrays to a trained net."""

from contextlib import nullcontext
from functools import partial

import torch
from skorch.helper import predefined_split

from sklearn_hessreg._compat import warn_at_caller
from sklearn_hessreg._hessian import ALONE, ranks_of
from sklearn_hessreg._torch_context import plain_torch, threads_for
from sklearn_hessreg._training._batches import BatchOrder, rows_of_batch
from sklearn_hessreg._training._carry_over import continue_from
from sklearn_hessreg._training._folders import own_folders
from sklearn_hessreg._training._mlp import (
    count_largest_product,
    init_glorot_uniform,
    stays_sparse,
)
from sklearn_hessreg._training._net import build_net
from sklearn_hessreg._training._sharded import check_begin
from sklearn_hessreg._training._spec import warn_if_expensive
from sklearn_hessreg._training._split import ValidationSplit, to_samples


def train(
    spec,
    train_data,
    valid_data,
    random_state,
    previous=None,
    callbacks=(),
    scorer=None,
):
    """Train a net by a spec, perhaps from a `previous` one on, and return it.

    `train_data` are (X, y, weight, sample_weight); the last, without class weights, is
    for validation rows. `valid_data` are (X, y, sample_weight), None, or a function of
    the targets and a RandomState. It returns the row numbers to train on in the first
    cycle, and a list of folds that validate in turn. `callbacks` are the net's only
    while it trains. `scorer` returns the score of a net on (X, y, weight).
    """
    X = train_data[0]
    sparse, rows = stays_sparse(X, spec.device), rows_of_batch(spec, X.shape[0])
    work = count_largest_product(spec.layer_units, sparse, rows)
    given = spec.skorch_callbacks
    folders = own_folders(given) if given else nullcontext()
    with folders, threads_for(work), plain_torch(spec.device), torch.enable_grad():
        net = build_net(spec)
        if previous is None:
            init_glorot_uniform(net.module_, spec.activation, random_state)
        else:
            continue_from(net, previous)
        net.begin_training(BatchOrder(random_state))
        net.scorer_ = scorer
        net.ranks_ = ranks_of() if spec.distributed else ALONE
        samples, valid = _to_samples(net, train_data, valid_data)
        _begin(net)
        check_begin(net, train_data)
        if previous is None:
            warn_if_expensive(spec, len(samples))
        _run(net, samples, valid, callbacks)
    return net


def _to_samples(net, train_data, valid_data):
    """Wrap the training rows and, if there are any, the validation rows."""
    head, device = net.spec.head, net.spec.device
    if callable(valid_data):
        random_state = net.batch_order_.random_state
        net.split_ = ValidationSplit(valid_data, train_data, random_state, net.spec)
        return net.split_.train, net.split_.valid
    valid = None if valid_data is None else to_samples(*valid_data, head, device)
    return to_samples(*train_data[:3], head, device), valid


def _begin(net):
    """Begin to count epochs and a cycle, and draw other dropout masks in each call."""
    dict(net.callbacks_)["curves"].begin_training(net.spec)
    net.method.begin_training(net)
    rank = net.ranks_.rank
    net.module_.dropout.generator.manual_seed(net.spec.seed + net.epoch + (rank << 40))


def _run(net, samples, valid, callbacks):
    """Train the net."""
    spec = net.spec
    in_batches = spec.solver != "lbfgs"
    given = in_batches and spec.batch_size != "auto"
    if given and spec.batch_size > len(samples):
        warn_at_caller(
            f"batch_size={spec.batch_size} is larger than the number of training "
            f"samples, {len(samples)}; it is clipped to that."
        )
    net.batch_size = rows_of_batch(spec, len(samples))
    net.max_epochs = spec.max_iter
    shuffled = spec.shuffle and in_batches
    net.iterator_train__order = net.batch_order_ if shuffled else None
    if valid is not None:
        net.train_split = predefined_split(valid)
    net.temporary_callbacks_ = [callback for _, callback in callbacks]
    net.callbacks_ += callbacks
    before = net.epoch
    net.partial_fit(samples)
    ranks = net.ranks_
    _end(net, len(callbacks), net.epoch - before)
    net.check_weights()
    ranks.attempt("the end of training", partial(net.check_outputs, samples))


def _end(net, n_callbacks, begun):
    """Drop what belongs to this training alone; warn if an epoch did not end."""
    del net.callbacks_[len(net.callbacks_) - n_callbacks :]
    net.train_split, net.iterator_train__order = None, None
    finished = dict(net.callbacks_)["curves"].n_iter_
    stopped = net.stop_training_
    net.held_out_ = net.split_.held_out if net.spec.oob_score else None
    net.begin_training(None)
    net.stop_training_, net.is_interrupted_ = stopped, finished < begun
    if net.history:
        net.history[-1]["batches"] = []
    if finished == 0:
        raise KeyboardInterrupt
    if net.is_interrupted_:
        warn_at_caller(
            f"Training interrupted by user in epoch {net.epoch}, whose finished "
            "batches are kept."
        )
    net.end_here()
