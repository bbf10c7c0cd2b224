"""Links to the few objects of other projects that docstrings name.

intersphinx would fetch whole inventories at each build, which fails without a network.
"""

from docutils import nodes

PAGES = {
    "accuracy_score": "https://scikit-learn.org/stable/modules/model_evaluation.html"
    "#accuracy-score",
    "r2_score": "https://scikit-learn.org/stable/modules/model_evaluation.html"
    "#r2-score",
    "sklearn.callback": "https://scikit-learn.org/stable/api/sklearn.callback.html",
    "sklearn.compose.TransformedTargetRegressor": "https://scikit-learn.org/stable/"
    "modules/generated/sklearn.compose.TransformedTargetRegressor.html",
    "sklearn.config_context": "https://scikit-learn.org/stable/modules/generated/"
    "sklearn.config_context.html",
    "sklearn.neural_network.MLPClassifier": "https://scikit-learn.org/stable/modules/"
    "generated/sklearn.neural_network.MLPClassifier.html",
    "torch.nn.init.calculate_gain": "https://docs.pytorch.org/docs/stable/nn.init.html"
    "#torch.nn.init.calculate_gain",
    "sklearn.neural_network.MLPRegressor": "https://scikit-learn.org/stable/modules/"
    "generated/sklearn.neural_network.MLPRegressor.html",
    "sklearn.preprocessing.StandardScaler": "https://scikit-learn.org/stable/modules/"
    "generated/sklearn.preprocessing.StandardScaler.html",
    "torch.nn.init": "https://docs.pytorch.org/docs/stable/nn.init.html",
}


def resolve(app, env, node, content):
    """Turn a reference that this project does not resolve into a link."""
    target = node["reftarget"]
    if target not in PAGES:
        return None
    return nodes.reference("", "", content, refuri=PAGES[target], internal=False)


def setup(app):
    """Be asked about references that are left."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
