"""Pictures of the study speak of arms in words that a reader knows."""

import pytest


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        ("none", "plain training"),
        ("dropout tuned", "dropout, tuned"),
        ("random n=1 k=10", "random weights, 10 % of the last layer"),
        (
            "ours n=3 k=30 every=auto per_sample",
            "highest scores, 30 % of the last 3 layers, every 100 batches, "
            "Hessian per sample",
        ),
    ],
)
def test_arm_is_said_in_words(arm, said, study_on_path):
    from study import labels

    assert labels.label(arm) == said


def test_settings_can_be_left_out(study_on_path):
    from study import labels

    assert labels.who("magnitude n=3 k=10") == "largest weights"
