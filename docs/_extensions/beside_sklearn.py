"""The tables that set scikit-learn's MLPs and ours side by side, made at each build."""

import inspect
import re

from numpydoc.docscrape import ClassDoc
from sklearn import neural_network

import sklearn_hessreg

PAIRS = {
    "MLPClassifier": "HessianRegularizedMLPClassifier",
    "MLPRegressor": "HessianRegularizedMLPRegressor",
}
NOTES = {
    "activation": "six more; only the four of scikit-learn can be converted back",
    "solver": "also any class of `torch.optim`",
    "validation_fraction": "0 is refused: it leaves no row to validate on",
    "tol": "counted within a cycle; in the units of `scoring`",
    "n_iter_no_change": "counted within a cycle",
    "max_iter": "1000 by default, of all cycles together",
    "max_fun": "of all cycles together",
    "learning_rate": "a new cycle begins with the initial one",
    "verbose": "a line for each epoch in skorch's words, for lbfgs too",
    "random_state": "None never draws from numpy's global generator",
    "coefs_": "of the last snapshot",
    "intercepts_": "of the last snapshot",
    "out_activation_": "read-only",
    "loss_curve_": "there with lbfgs too",
    "best_loss_": "there with lbfgs too",
    "t_": "with lbfgs iterations times samples, where scikit-learn has 0",
    "validation_scores_": "in the units of `scoring`",
    "n_iter_": "an iteration in which lbfgs finds no way on counts",
    "partial_fit": "each call counts as an epoch of a cycle",
    "predict_proba": "the mean of the snapshots",
    "predict_log_proba": "from the logits, finite where probabilities round to zero",
}
OF_ONE = {
    "MLPClassifier": {
        "early_stopping": '`"auto"` by default; also on data of your own (`X_val`), '
        "by any `scoring`; the split is stratified for more than two classes too, so "
        "that none is missing on either side",
        "fit": "also takes validation data; labels of one class only are an error, as "
        "there is nothing to learn from them",
        "predict": "by the mean of the snapshots",
    },
    "MLPRegressor": {
        "loss": "also the robust `absolute_error` and `huber` with `delta`",
        "solver": "also any class of `torch.optim`. With several outputs and "
        "`squared_error` MLPRegressor gives L-BFGS the mean of the outputs' losses and "
        "the gradient of their sum, on which line searches break off; ours gives it "
        "the sum of both",
        "early_stopping": '`"auto"` by default; also on data of your own (`X_val`), '
        "by any `scoring`",
        "fit": "also takes validation data; equal targets of all validation data are "
        "warned of",
        "predict": "the mean of the snapshots",
    },
}
MESSAGES = {
    "warning: ConvergenceWarning at max_iter": "the same, with adam and sgd in other "
    "words; it says if nothing was re-initialised",
    "warning: ConvergenceWarning of lbfgs": "the same, beginning with the same words",
    "warning: batch_size is clipped": "the same, in other words",
    "warning: training interrupted by user": "the same, in other words",
    "error: weights that are not finite": "also a loss that is not finite, with "
    "`early_stopping` too, and outputs that overflow; nothing is kept of the training",
}


def entries(name):
    """List (kind, entry, whether ours has it) for a class of scikit-learn's."""
    theirs = getattr(neural_network, name)
    ours = getattr(sklearn_hessreg, PAIRS[name])
    documented = {a.name for a in ClassDoc(ours)["Attributes"]}
    for parameter in inspect.signature(theirs).parameters:
        yield "parameter", parameter, parameter in inspect.signature(ours).parameters
    for method, _ in inspect.getmembers(theirs, callable):
        if not method.startswith("_"):
            yield "method", method, hasattr(ours, method)
    for attribute in ClassDoc(theirs)["Attributes"]:
        yield "attribute", attribute.name, attribute.name in documented


def note(name, entry):
    """Say what differs in an entry of a class; nothing where it is the same."""
    return OF_ONE[name].get(entry, NOTES.get(entry, ""))


def table(name):
    """Write the table of a class in Markdown."""
    rows = [f"| of {name} | ours | what differs |", "| --- | --- | --- |"]
    for kind, entry, there in entries(name):
        ours = "the same name" if there else "none"
        rows.append(f"| {kind} `{entry}` | {ours} | {note(name, entry)} |")
    rows += [f"| {theirs} | yes | {how} |" for theirs, how in MESSAGES.items()]
    return "\n".join(rows)


def write(app, docname, source):
    """Put the tables in the place of lines such as `[table of MLPClassifier]`."""
    source[0] = re.sub(
        r"(?m)^\[table of (\w+)\]$",
        lambda line: table(line[1]),
        source[0],
    )


def setup(app):
    """Read every page so."""
    app.connect("source-read", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
