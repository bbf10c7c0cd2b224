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
    "max_iter": "of all cycles together",
    "max_fun": "of all cycles together",
    "early_stopping": "also on data of your own (`X_val`), by any `scoring`; the split "
    "is stratified for more than two classes too",
    "learning_rate": "a new cycle begins with the initial one",
    "verbose": "a line for each epoch in skorch's words, for lbfgs too",
    "random_state": "None never draws from numpy's global generator",
    "coefs_": "of the last snapshot",
    "intercepts_": "of the last snapshot",
    "loss_curve_": "there with lbfgs too",
    "best_loss_": "there with lbfgs too",
    "t_": "with lbfgs iterations times samples, where scikit-learn has 0",
    "validation_scores_": "in the units of `scoring`",
    "n_iter_": "an iteration in which lbfgs finds no way on counts",
    "fit": "also takes validation data; labels of one class only are an error",
    "partial_fit": "also takes sample weights; each call counts as an epoch of a cycle",
    "predict": "by the mean of the snapshots",
    "predict_proba": "the mean of the snapshots",
    "predict_log_proba": "from the logits, finite where probabilities round to zero",
}
WARNINGS = [
    ("ConvergenceWarning at max_iter", "the same, in other words with adam and sgd; "
     "it says if nothing was re-initialised"),
    ("ConvergenceWarning of lbfgs", "the same, beginning with the same words"),
    ("batch_size is clipped", "the same, in other words"),
    ("training interrupted by user", "the same, in other words"),
]  # fmt: skip


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


def table(name):
    """Write the table of a class in Markdown; None where there is no class of ours."""
    if not hasattr(sklearn_hessreg, PAIRS[name]):
        return None
    rows = [f"| of {name} | ours | what differs |", "| --- | --- | --- |"]
    for kind, entry, there in entries(name):
        ours = "the same name" if there else "none"
        rows.append(f"| {kind} `{entry}` | {ours} | {NOTES.get(entry, '')} |")
    rows += [f"| warning: {theirs} | yes | {note} |" for theirs, note in WARNINGS]
    return "\n".join(rows)


def write(app, docname, source):
    """Put the tables in the place of lines such as `[table of MLPClassifier]`."""
    source[0] = re.sub(
        r"(?m)^\[table of (\w+)\]$",
        lambda line: table(line[1]) or f"There is no counterpart of {line[1]} yet.",
        source[0],
    )


def setup(app):
    """Read every page so."""
    app.connect("source-read", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
