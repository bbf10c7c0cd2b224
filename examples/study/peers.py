"""What a user might fit instead; peers split the labelled rows as they like."""

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.neural_network import MLPClassifier


def make_peer(arm, *, seed, epochs, quick=False, **settings):
    """Build a peer by its name; those with a network take the settings of all arms."""
    first, _, rest = arm.partition(" ")
    if first == "CleanLearning":
        return _clean_learning()(
            make_peer(rest, seed=seed, epochs=epochs, **settings),
            seed=seed,
            find_label_issues_kwargs={"n_jobs": 1},
        )
    if first == "VotingClassifier":
        seeds = range(100 * seed, 100 * seed + (2 if quick else 10))
        networks = [make_peer(rest, seed=s, epochs=epochs, **settings) for s in seeds]
        named = [(f"seed {s}", net) for s, net in zip(seeds, networks, strict=True)]
        return VotingClassifier(named, voting="soft")
    if first == "HistGradientBoostingClassifier":
        return HistGradientBoostingClassifier(random_state=seed)
    if first == "RandomForestClassifier":
        return RandomForestClassifier(10 if quick else 500, random_state=seed)
    return MLPClassifier(
        early_stopping=True, max_iter=epochs, random_state=seed, **settings
    )


def _clean_learning():
    """Import cleanlab, where it is used only."""
    try:
        from cleanlab.classification import CleanLearning
    except ImportError as error:
        raise ImportError(
            "The arms with CleanLearning need cleanlab. Install it with "
            "pip install 'sklearn_hessreg[study]', or leave them out with --arms."
        ) from error
    return CleanLearning
