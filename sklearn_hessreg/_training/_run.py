"""A run of the net over epochs, from arrays to a trained net."""

import warnings

from skorch.helper import predefined_split

from sklearn_hessreg._training._batches import rows_of_batch, to_samples


def run(net, train, valid, batch_size, epochs, told=()):
    """Train a net on (X, y, weight) arrays and return the number of finished epochs.

    `told` are callbacks that the net has while it trains, and not afterwards.
    """
    n_outputs = net.module_.layers[-1].out_features
    train = to_samples(*train, n_outputs)
    if batch_size != "auto" and batch_size > len(train):
        warnings.warn(
            f"batch_size={batch_size} is larger than the number of training samples, "
            f"{len(train)}; it is clipped to that.",
            stacklevel=5,
        )
    net.set_params(batch_size=rows_of_batch(batch_size, len(train)), max_epochs=epochs)
    before = len(net.history)
    if valid is not None:
        net.set_params(train_split=predefined_split(to_samples(*valid, n_outputs)))
    net.callbacks_ += told
    net.partial_fit(train)
    del net.callbacks_[len(net.callbacks_) - len(told) :]
    # a fitted net does not carry data and helpers around
    net.set_params(train_split=None)
    net.listeners_, net.flat_weights_ = {}, []
    net.check_weights()
    finished = sum("train_loss" in row for row in list(net.history)[before:])
    if finished == 0:
        raise KeyboardInterrupt
    if finished < len(net.history) - before:
        warnings.warn(
            f"Training interrupted by user in epoch {len(net.history)}, whose finished "
            "batches are kept.",
            stacklevel=5,
        )
    return finished
