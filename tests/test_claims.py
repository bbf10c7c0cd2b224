"""Claims of docs/evidence_earlier.md, run again on three of ten seeds of one table.

Of what it claims only that of integer schedules can be run again.

A bound is the mean of the ten paired differences in docs/results less four of their
standard deviations over the root of three: where the claim holds, a mean of three
pairs comes below it once in 30,000 times.
"""

import pytest

pytest.importorskip("tqdm", reason="needs the packages of the study")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("study_on_path")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a folder of results: an arm that two claims share is run once."""
    return tmp_path_factory.mktemp("results")


def last_rows(study, noise, arms, folder):
    """Run arms of a study; return the last row of each run."""
    from study.analysis import load

    command = ["--dataset", "classification", "--noise", noise, "--arms", *arms]
    study.main([*command, "--seeds", "0", "1", "2", "--results", str(folder)])
    return load(folder, study.STUDY).groupby(["arm", "seed"]).tail(1)


def gain(study, noise, arm, over, folder):
    """Run two arms of a study; return the mean difference of their final accuracies."""
    from study.analysis import differences

    last = last_rows(study, noise, [arm, over], folder)
    return differences(last, arm, over, "test_accuracy").mean()


def test_long_training_on_wrong_labels_ends_far_above_plain_training(folder):
    from study import noise

    assert gain(noise, "0.4", "ours n=3 k=10", "none", folder) > 0.22


def test_long_training_on_wrong_labels_ends_above_random_reinitialisation(folder):
    from study import noise

    found = gain(noise, "0.4", "ours n=3 k=10", "random n=3 k=10", folder)
    assert found > 0.005


def test_networks_of_one_training_averaged_end_above_the_last_of_them(tmp_path):
    from study import average

    last = last_rows(average, "0.4", ["ours n=3 k=10 per_sample"], tmp_path)
    assert (last["test_accuracy_15"] - last["test_accuracy"]).mean() > 0.01
