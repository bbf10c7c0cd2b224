"""The study of examples/study at toy size, and what its controls and tables compute."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("cleanlab", reason="needs the packages of the study")
pytestmark = pytest.mark.usefixtures("study_on_path")
DIGITS = ["--quick", "--dataset", "digits"]


def test_plain_training_has_one_row_for_each_epoch(tmp_path):
    from study import cycles, results

    cycles.main([*DIGITS, "--results", str(tmp_path), "--arms", "plain"])
    rows = results.read(tmp_path / "cycles_digits.csv")
    assert list(rows.columns) == [*results.KEY, *cycles.STUDY.columns]
    runs = rows.groupby("seed")["epoch"].apply(list)
    assert runs.to_dict() == {0: [1, 2], 1: [1, 2]}


def test_the_same_command_goes_on_where_it_was_interrupted(tmp_path):
    from study import cycles

    path = tmp_path / "cycles_digits.csv"
    command = [*DIGITS, "--results", str(tmp_path), "--arms", "plain", "forest"]
    cycles.main(command)
    header, *lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("digits,0.4,plain,1,")]
    path.write_text("\n".join([header, *kept]) + "\n")
    cycles.main(command)
    again = path.read_text().splitlines()[1:]
    without_seconds = [line.rsplit(",", 1)[0] for line in again]
    assert again[: len(kept)] == kept
    assert sorted(without_seconds) == sorted(line.rsplit(",", 1)[0] for line in lines)


def test_toy_sizes_never_go_into_the_documentation(capsys):
    from study import cycles

    with pytest.raises(SystemExit):
        cycles.main(["--quick"])
    assert "--results" in capsys.readouterr().err


def test_tables_and_figures_are_made_of_whatever_runs_there_are(tmp_path, capsys):
    pytest.importorskip("scipy", "1.15", reason="needs scipy as new as the study's")
    from study import cycles, figures, paper, summary

    summary.main(["--results", str(tmp_path)])
    assert "No runs yet" in capsys.readouterr().out
    folder = ["--results", str(tmp_path)]
    cycles.main([*DIGITS, *folder, "--arms", "early stopping", "forest", "plain"])
    paper.main(["--quick", *folder, "--arms", "sgd n=1 k=30"])
    summary.main(folder)
    text = capsys.readouterr().out
    assert "early stopping" in text
    figures.main([*folder, "--figures", str(tmp_path)])
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert drawn == {"cycle", "cycles", "first", "paper_n1"}


def test_a_run_of_cycles_has_a_row_for_each_number_of_networks(tmp_path):
    from study import cycles, results

    arms = ["early stopping", "ten voting", "forest"]
    cycles.main([*DIGITS, "--seeds", "0", "--results", str(tmp_path), "--arms", *arms])
    rows = results.read(tmp_path / "cycles_digits.csv")
    found = rows.groupby("arm")["networks"].apply(list)
    assert found["early stopping"] == [1]
    assert found["ten voting"] == [1, 2]  # two at toy size
    assert rows.loc[rows["arm"] == "forest", "networks"].isna().all()


def test_networks_are_counted_up_to_the_epochs_of_another_arm():
    from study.rivals import at_no_more_epochs

    case = {"dataset": "digits", "noise": 0.4, "seed": 0}
    rows = pd.DataFrame(
        [
            {**case, "arm": arm, "epoch": epoch, "networks": i}
            for arm, epochs in (("method", (5, 9, 14)), ("voting", (6, 13)))
            for i, epoch in enumerate(epochs, start=1)
        ]
    )
    (row,) = at_no_more_epochs(rows, "method", "voting").to_dict("records")
    assert (row["epoch"], row["networks"]) == (9, 2)


@pytest.mark.parametrize("kind", ["pairs", "boundary"])
def test_wrong_labels_that_are_not_uniform_have_their_share(kind):
    from study.data import load

    clean, noisy = (load(f"digits-{kind}", share, 0) for share in (0, 0.2))
    wrong = clean.labelled()[1] != noisy.labelled()[1]
    assert wrong.sum() == round(0.2 * len(wrong))


def test_all_arms_of_a_seed_see_the_same_data():
    from study.data import load

    first, second = (load("digits", 0.4, 3, quick=True) for _ in range(2))
    assert (first.y_train == second.y_train).all()
    assert (first.X_test == second.X_test).all()


def rows_of(values):
    """Make rows of runs that differ in their accuracies: {(arm, seed, epoch): ...}."""
    return pd.DataFrame(
        [
            {
                "dataset": "digits",
                "noise": 0.4,
                "arm": arm,
                "seed": seed,
                "epoch": epoch,
                "valid_accuracy": valid,
                "test_accuracy": test,
            }
            for (arm, seed, epoch), (valid, test) in values.items()
        ]
    )


def test_differences_are_paired_by_seed():
    from study.analysis import differences

    rows = rows_of(
        {
            ("a", 0, 60): (0.0, 0.9),
            ("b", 1, 60): (0.0, 0.5),
            ("b", 0, 60): (0.0, 0.6),
            ("a", 2, 60): (0.0, 0.7),
        }
    )
    found = differences(rows, "a", "b", "test_accuracy")
    assert found.to_dict() == {("digits", 0.4, 0): pytest.approx(0.3)}


def test_the_paper_is_measured_before_and_after_each_reinitialisation(tmp_path):
    from study import paper, results

    paper.main(["--quick", "--results", str(tmp_path), "--arms", "sgd n=1 k=30"])
    rows = results.read(tmp_path / "paper_mnist.csv")
    # the last epoch is followed by none
    assert rows["train_loss_after"].notna().tolist() == [True, False] * 2
    assert (rows["train_loss_after"] != rows["train_loss"]).all()


def test_wrong_targets_are_as_many_and_of_the_kind_asked_for():
    import numpy as np
    from study.regression import with_wrong_targets

    y = np.random.default_rng(1).normal(size=500)
    rng = np.random.default_rng(0)
    far = np.abs(with_wrong_targets(y, 0.1, "outliers", rng) - y) / y.std()
    assert (far > 0).sum() == 50
    assert ((far[far > 0] >= 5) & (far[far > 0] <= 10)).all()
    shuffled = with_wrong_targets(y, 0.2, "shuffled", rng)
    assert sorted(shuffled) == sorted(y)
    assert 90 < (shuffled != y).sum() <= 100


def test_all_arms_of_regression_have_one_row_for_each_fit(tmp_path):
    from study import regression

    command = ["--quick", "--results", str(tmp_path), "--dataset", "diabetes-outliers"]
    regression.main([*command, "--seeds", "0", "--noise", "0.2"])
    rows = pd.read_csv(tmp_path / "regression_diabetes-outliers.csv")
    assert list(rows["arm"]) == regression.ARMS
    assert (rows["test_error"] > 0).all()


def test_all_clean_tables_are_in_one_file(tmp_path):
    from study import tables

    command = ["--quick", "--results", str(tmp_path), "--seeds", "0"]
    arms = ["default", "default early_stopping"]
    tables.main([*command, "--dataset", "iris", "multi1", "--arms", *arms])
    rows = pd.read_csv(tmp_path / "tables_plateau.csv")
    assert rows["dataset"].tolist() == ["iris"] * 2 + ["multi1"] * 2
    assert rows["arm"].tolist() == arms * 2
    assert rows["test_accuracy"].between(0, 1).all()


def test_rivals_of_clean_tables_take_several_labels_but_cleanlearning(tmp_path):
    from study import table_rivals, tables

    command = ["--quick", "--results", str(tmp_path), "--seeds", "0", "--noise", "0.2"]
    arms = ["--arms", *table_rivals.ARMS]
    tables.main([*command, "--dataset", "wine", "multi1", *arms])
    rows = pd.read_csv(tmp_path / "tables_plateau.csv")
    refused = rows[rows["test_accuracy"].isna()]
    assert rows["arm"].tolist() == table_rivals.ARMS * 2
    assert refused[["dataset", "arm"]].values.tolist() == [["multi1", "CleanLearning"]]


def test_real_tables_are_split_encoded_and_spoilt(monkeypatch, tmp_path):
    from study import keel

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"size": rng.normal(size=90), "kind": list("abc") * 30})
    labels = np.arange(90) % 2
    monkeypatch.setattr(keel, "read", lambda name: (table, labels))
    X, y, X_test, y_test = keel.load("iris", 0.4, 0)
    assert (X.shape, X_test.shape) == ((60, 4), (30, 4))
    clean = keel.load("iris", 0, 0)[1]
    assert (y != clean).sum() == round(0.75 * 0.4 * 60)  # of two classes
    assert sorted(y_test) == [0] * 15 + [1] * 15
    cleaned = ["forest, suspects dropped", "CleanLearning, forest"]
    arms = ["ours", "forest", "ten k=0 by loss", *cleaned]
    command = ["--quick", "--dataset", "iris", "--results", str(tmp_path)]
    keel.main([*command, "--arms", *arms, "--seeds", "0"])
    rows = pd.read_csv(tmp_path / "keel_tables.csv")
    assert rows["arm"].tolist() == arms
    assert rows["test_accuracy"].between(0, 1).all()
    assert rows["snapshots"].tolist()[2] == 10


def test_a_model_trained_on_cleaned_rows_predicts_every_class():
    from sklearn.ensemble import RandomForestClassifier
    from study.keel_rivals import CleanedClassifier

    X = np.repeat(np.eye(3), 20, axis=0) + np.arange(60)[:, None] / 600
    y = np.repeat(["a", "b", "c"], 20)
    y[:20:5] = "b"  # wrong
    forest = RandomForestClassifier(random_state=0)
    model = CleanedClassifier(forest, "oob", seed=0).fit(X, y)
    assert list(model.classes_) == ["a", "b", "c"]
    proba = model.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert list(model.classes_[proba.argmax(1)][:20:5]) == ["a"] * 4


@pytest.mark.filterwarnings("ignore:.*rows were held out in no cycle")
def test_wrong_labels_are_found_by_every_arm(tmp_path, capsys):
    from study import label_quality, summary

    datasets = ["digits", "digits-boundary"]
    arms = ["ours", "forest", "CleanLearning, forest"]
    folder = ["--results", str(tmp_path)]
    label_quality.main(
        ["--quick", *folder, "--seeds", "0", "--dataset", *datasets, "--arms", *arms]
    )
    rows = pd.read_csv(tmp_path / "label_quality_tables.csv")
    assert rows["arm"].tolist() == arms * 2
    assert rows["wrong"].tolist() == [30] * 6  # a tenth of 300
    assert rows.query("arm == 'forest' and dataset == 'digits'")["auc"].item() > 0.95
    assert rows["oob_score"].notna().tolist() == [True, False, False] * 2
    summary.main(folder)
    table = " ".join(capsys.readouterr().out.split())
    assert "| boundary, 10% | forest | " in table


def test_losses_are_compared_on_right_test_labels(tmp_path):
    from study import robust_loss

    command = [*DIGITS, "--seeds", "0", "--epochs", "60"]
    robust_loss.main([*command, "--results", str(tmp_path), "--noise", "0.4"])
    rows = pd.read_csv(tmp_path / "robust_loss_own.csv").set_index("arm")
    assert list(rows.index) == robust_loss.STUDY.arms
    assert rows["test_accuracy"].nunique() > 1


def test_each_step_back_to_a_new_network_has_its_runs(monkeypatch, tmp_path):
    from study import keel, restart

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=90), "b": rng.normal(size=90)})
    monkeypatch.setattr(keel, "read", lambda name: (table, np.arange(90) % 3))
    command = ["--quick", "--dataset", "iris", "--results", str(tmp_path)]
    restart.main([*command, "--seeds", "0"])
    rows = pd.read_csv(tmp_path / "restart_tables.csv")
    assert rows["arm"].tolist() == [*restart.ARMS, *restart.TEN]


def test_biases_and_steps_are_forgotten_at_each_event():
    from study.restart import Forget

    from sklearn_hessreg import HessianRegularizedMLPClassifier

    options = {"k": 100, "reinit_every": 2, "early_stopping": False, "alpha": 0}
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2

    def steps(*callbacks):
        clf = HessianRegularizedMLPClassifier(
            max_iter=4, skorch_callbacks=[*callbacks], random_state=0, **options
        ).fit(X, y)
        states = clf.net_.optimizer_.state.values()
        return {state["step"].item() for state in states}, clf.intercepts_

    (kept, biases), (_, drawn) = steps(), steps(Forget())
    (forgotten, _) = steps(Forget(optimizer=True))
    assert (kept, forgotten) == ({4.0}, {2.0})
    assert not np.allclose(biases[0], drawn[0])


def test_ranks_are_among_the_arms_that_have_all_tables():
    from study.keel_summary import ranks

    accuracy = {"a": [0.9, 0.8], "b": [0.7, 0.9], "c": [0.8, 0.7], "d": [1.0]}
    rows = [
        {"dataset": f"table {i}", "arm": arm, "test_accuracy": value}
        for arm, values in accuracy.items()
        for i, value in enumerate(values)
    ]
    assert ranks(pd.DataFrame(rows)).to_dict() == {"a": 1.5, "b": 2.0, "c": 2.5}
