"""The pairs of arms whose differences the tables report."""

from study import table_rivals, tables

# stated before the runs were made
COMPARISONS = [
    ("ours n=3 k=10", "none"),
    ("ours n=3 k=10", "random n=3 k=10"),
    ("ours n=3 k=10", "magnitude n=3 k=10"),
    ("ours n=3 k=10", "dropout tuned"),
    ("ours tuned", "dropout tuned"),
]
FURTHER = [
    *[
        ("ours n=3 k=10", other)
        for other in (
            "lowest n=3 k=10",
            "diagonal n=3 k=10",
            "ours n=3 k=10 per_sample",
            "ours n=3 k=10 reset",
            "ours n=3 k=10 unit",
            "ours n=3 k=10 until=half",
            "fading n=3 k=10",
        )
    ],
    *[
        (f"ours n=3 k={k} every=auto{curvature}", other)
        for k, curvature in ((10, ""), (30, " per_sample"))
        for other in (
            "none",
            f"random n=3 k={k} every=auto",
            f"magnitude n=3 k={k} every=auto",
            "dropout tuned",
        )
    ],
    ("ours every=auto tuned", "dropout tuned"),
    *[
        ("ours tuned", other)
        for other in (
            "early_stopping",
            "weight_decay tuned",
            "MLPClassifier early_stopping",
            "RandomForestClassifier",
            "CleanLearning MLPClassifier early_stopping",
        )
    ],
    ("CleanLearning ours n=3 k=10", "CleanLearning MLPClassifier early_stopping"),
    ("ours n=3 k=10 dropout=0.3", "dropout=0.3"),
]
# on clean tables, with the present schedule
TABLES = [
    ("default", "none"),
    ("default early_stopping", "none early_stopping"),
    ("default early_stopping", "none"),
    *[
        (arm, rival)
        for arm in (tables.RECOMMENDED, "default early_stopping")
        for rival in table_rivals.ARMS
    ],
    *[
        (tables.RECOMMENDED, other)
        for other in (
            "none",
            "none long",
            "none early_stopping loss",
            "random early_stopping loss long",
            "default early_stopping loss",
        )
    ],
    ("default early_stopping loss", "default early_stopping"),
    ("default early_stopping", "random early_stopping"),
    ("default early_stopping", "largest early_stopping"),
]
SEARCHED = [
    ("ours searched", other)
    for other in ("none", "dropout searched", "weight_decay searched")
]
REGRESSED = [
    ("ours huber", other)
    for other in (
        "huber early_stopping",
        "ours huber scoring=loss",
        "ours squared_error",
        "random huber",
        "ten huber early_stopping",
        "MLPRegressor early_stopping",
        "HistGradientBoostingRegressor absolute_error",
        "RandomForestRegressor",
        "HuberRegressor",
    )
]
STREAMED = [
    *[("ours n=3 k=10", arm) for arm in ("none", "random n=3 k=10")],
    *[
        ("ours n=3 k=10 reset", arm)
        for arm in (
            "none",
            "random n=3 k=10 reset",
            "magnitude n=3 k=10 reset",
            "ours n=3 k=10",
        )
    ],
]
AVERAGED = [
    *[
        ("ours n=3 k=30 every=auto per_sample", other)
        for other in (
            "none",
            "random n=3 k=30 every=auto",
            "magnitude n=3 k=30 every=auto",
            "dropout tuned",
            "weight_decay tuned",
        )
    ],
    *[
        ("ours n=3 k=10 per_sample", other)
        for other in ("none", "dropout tuned", "weight_decay tuned")
    ],
]
# averaged networks minus what is no average, or one of its own
NOT_AVERAGED = [
    (first, other)
    for first in ("ours n=3 k=30 every=auto per_sample", "ours n=3 k=10 per_sample")
    for other in (
        "early_stopping",
        "RandomForestClassifier",
        "VotingClassifier MLPClassifier early_stopping",
    )
]
