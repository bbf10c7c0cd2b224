"""The pairs of arms whose differences the tables report."""

from study import table_rivals, tables

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
