"""The study of examples/study at toy size, and what its controls and tables compute."""

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("cleanlab", reason="needs the packages of the study")
pytestmark = pytest.mark.usefixtures("study_on_path")
SOME_ARMS = ["none", "ours n=3 k=10", "lowest n=3 k=10", "dropout=0.3"]
DIGITS = ["--quick", "--dataset", "digits"]


def test_a_run_has_one_row_for_each_epoch(tmp_path):
    from study import noise, results

    noise.main([*DIGITS, "--results", str(tmp_path), "--arms", *SOME_ARMS])
    rows = results.read(tmp_path / "noise_digits.csv")
    assert list(rows.columns) == [*results.KEY, *noise.COLUMNS]
    runs = rows.groupby(["arm", "seed"])["epoch"].apply(list)
    assert runs.to_dict() == {
        (arm, seed): [1, 2] for arm in SOME_ARMS for seed in (0, 1)
    }


def test_peers_have_one_row_for_each_fit(tmp_path):
    from study import noise, results
    from study.peers import PEERS

    noise.main([*DIGITS, "--results", str(tmp_path), "--arms", *PEERS])
    rows = results.read(tmp_path / "noise_digits.csv")
    assert rows.groupby("arm").size().to_dict() == dict.fromkeys(PEERS, 2)
    assert rows["test_accuracy"].between(0, 1).all()


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


def test_the_same_command_goes_on_where_it_was_interrupted(tmp_path):
    from study import noise

    path = tmp_path / "noise_digits.csv"
    command = [*DIGITS, "--results", str(tmp_path), "--arms", "none", "random n=1 k=10"]
    noise.main(command)
    header, *lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("digits,0.4,none,1,")]
    path.write_text("\n".join([header, *kept]) + "\n")
    noise.main(command)
    again = path.read_text().splitlines()[1:]
    without_seconds = [line.rsplit(",", 1)[0] for line in again]
    assert again[: len(kept)] == kept
    assert sorted(without_seconds) == sorted(line.rsplit(",", 1)[0] for line in lines)


def test_toy_sizes_never_go_into_the_documentation(capsys):
    from study import noise

    with pytest.raises(SystemExit):
        noise.main(["--quick"])
    assert "--results" in capsys.readouterr().err


def test_an_unknown_word_in_an_arm_is_named():
    from study.arms import parameters

    with pytest.raises(ValueError, match="word 'colour=red'"):
        parameters("ours n=3 colour=red", 2)


def test_the_withdrawn_schedule_is_refused_with_those_that_are_allowed():
    from study.arms import parameters

    with pytest.raises(ValueError, match=r"every=auto .*withdrawn.*every=plateau"):
        parameters("ours n=3 every=auto", 2)


def test_a_schedule_that_is_no_number_is_named():
    from study.arms import parameters

    with pytest.raises(ValueError, match="every=often is no schedule"):
        parameters("ours n=3 every=often", 2)


def test_an_arm_with_a_plateau_has_one_row_of_its_averaged_networks():
    from sklearn.metrics import accuracy_score
    from study import noise
    from study.arms import make_estimator

    split = noise.load("digits", 0.4, 0, quick=True)
    settings = {"seed": 0, "epochs": 60, "hidden_layer_sizes": (16,)}
    settings |= {"learning_rate_init": 0.05}
    arm = "ours n=1 k=30 every=plateau early_stopping"
    (row,) = noise.train(arm, split.X_train, split.y_train, split, settings)
    clf = make_estimator(arm, **settings).fit(split.X_train, split.y_train)
    assert len(clf.snapshots_) > 1
    right = accuracy_score(split.y_test, clf.predict(split.X_test))
    assert (row["epoch"], row["test_accuracy"]) == (clf.n_iter_, right)


def test_all_arms_of_a_seed_see_the_same_data():
    from study.data import load

    first, second = (load("digits", 0.4, 3, quick=True) for _ in range(2))
    assert (first.y_train == second.y_train).all()
    assert (first.X_test == second.X_test).all()


def test_diagonal_scores_are_the_diagonal_of_the_hessian():
    from study.controls import diagonal_scores

    generator = torch.Generator().manual_seed(0)
    X = torch.rand(20, 4, dtype=torch.float64, generator=generator)
    y = torch.arange(20) % 3
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)
    ).double()
    loss = torch.nn.functional.cross_entropy
    found = diagonal_scores(net, ["0", "2"], loss=loss, inputs=X, targets=y)
    for name, S in found.items():
        key = f"{name}.weight"

        def J(W, key=key):
            return loss(torch.func.functional_call(net, {key: W}, (X,)), y)

        H = torch.func.hessian(J)(net.get_parameter(key)).detach()
        H = H.reshape(S.numel(), S.numel())
        torch.testing.assert_close(S.flatten(), H.diagonal().abs())


@pytest.mark.filterwarnings("ignore:Maximum iterations")
def test_the_lowest_control_redraws_what_the_method_spares():
    from study.arms import make_estimator
    from study.data import load

    split = load("digits", 0, 0, quick=True)
    X, y = split.X_train[:256], split.y_train[:256]  # no draw: all Hessian samples
    masks = []
    for arm in ("ours n=1 k=50", "lowest n=1 k=50"):
        clf = make_estimator(arm, seed=0, epochs=2, hidden_layer_sizes=(16,))
        method = dict(clf.fit(X, y).net_.callbacks_)["hessian_reinit"]
        masks.append(method.masks_["layers.1"])
    assert (masks[0] ^ masks[1]).all()


@pytest.mark.filterwarnings("ignore:Maximum iterations")
def test_a_fading_k_falls_linearly_to_nothing_at_the_end():
    from study.arms import make_estimator
    from study.data import load

    split = load("digits", 0, 0, quick=True)
    arm = "fading n=1 k=40"
    clf = make_estimator(arm, seed=0, epochs=4, hidden_layer_sizes=(20,))
    net = clf.fit(split.X_train, split.y_train).net_
    method = dict(net.callbacks_)["FadingReinit"]
    # of 200 weights 40 percent times 3/4, 2/4, 1/4
    assert [record["count"] for record in method.reinit_history_] == [60, 40, 20]
    assert method.k == 40


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


def test_a_tuned_arm_follows_the_validation_accuracy_of_each_seed():
    from study.analysis import TUNED, with_tuned

    candidates = TUNED["dropout tuned"]
    best = {0: candidates[2], 1: candidates[0]}
    rows = rows_of(
        {
            (arm, seed, 60): (0.5 + 0.1 * (arm == best[seed]), 0.9)
            for arm in candidates
            for seed in best
        }
    )
    tuned = with_tuned(rows)
    tuned = tuned[tuned["arm"] == "dropout tuned"]
    assert dict(zip(tuned["seed"], tuned["chosen"], strict=True)) == best


def test_a_tuned_arm_is_missing_while_a_candidate_is():
    from study.analysis import TUNED, with_tuned

    rows = rows_of({(a, 0, 60): (0.5, 0.9) for a in TUNED["dropout tuned"][1:]})
    assert len(with_tuned(rows)) == len(rows)


def test_the_epoch_is_selected_by_validation_before_the_horizon():
    from study.analysis import selected

    accuracies = {1: (0.5, 0.1), 2: (0.7, 0.2), 3: (0.7, 0.3), 4: (0.9, 0.4)}
    rows = rows_of({("none", 0, e): value for e, value in accuracies.items()})
    assert selected(rows, 3)["epoch"].tolist() == [2]


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


def test_a_batch_of_the_stream_is_classified_before_it_is_learned(monkeypatch):
    from study import stream

    X, y, *_ = stream.images(quick=True)
    chunk = (X[:100], y[:100])
    monkeypatch.setattr(stream, "chunks", lambda *options: [chunk] * 2)
    seen = []
    predict = stream.BeforeLearning.on_batch_begin
    monkeypatch.setattr(
        stream.BeforeLearning,
        "on_batch_begin",
        lambda self, net, **kw: (
            seen.append([p.clone() for p in net.module_.parameters()]),
            predict(self, net, **kw),
        ),
    )
    rows = stream.run(("labels", 0, "none", 0), 2, True)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert len(seen) == 2 * 4  # batches of 32
    assert all((a != b).any() for a, b in zip(seen[0], seen[1], strict=True))


def test_a_search_reports_what_it_chose(tmp_path):
    from study import results, search

    command = [*DIGITS, "--results", str(tmp_path), "--seeds", "0"]
    search.main([*command, "--arms", "none", "dropout searched"])
    rows = results.read(tmp_path / "search_digits.csv")
    chosen = rows.groupby("arm")["chosen"].first()
    assert chosen["dropout searched"].startswith("dropout=")
    assert "none" not in chosen.dropna().index


@pytest.mark.filterwarnings("ignore:Maximum iterations")
def test_averages_are_of_the_networks_along_one_training():
    from sklearn.metrics import log_loss
    from study import average
    from study.arms import make_estimator

    split = average.load("digits", 0.4, 0, quick=True)
    settings = average.network("digits", quick=True)
    probabilities = [
        make_estimator("none", seed=0, epochs=epochs, **settings)
        .fit(split.X_train, split.y_train)
        .predict_proba(split.X_test)
        for epochs in (1, 2)
    ]
    first, second = average.run(("digits", 0.4, "none", 0), 2, quick=True)
    alone = log_loss(split.y_test, probabilities[0])
    both = log_loss(split.y_test, sum(probabilities) / 2)
    assert first["test_log_loss"] == first["test_log_loss_5"] == pytest.approx(alone)
    assert second["test_log_loss_5"] == pytest.approx(both)


def test_tables_and_figures_are_made_of_whatever_runs_there_are(tmp_path, capsys):
    from study import average, figures, noise, stream, summary

    summary.main(["--results", str(tmp_path)])
    assert "No runs yet" in capsys.readouterr().out
    folder = ["--results", str(tmp_path)]
    noise.main([*DIGITS, *folder, "--arms", *SOME_ARMS])
    stream.main(["--quick", *folder, "--dataset", "labels", "--arms", "none"])
    average.main([*DIGITS, *folder, "--arms", "none"])
    summary.main(folder)
    text = capsys.readouterr().out
    assert "| ours n=3 k=10 | none " in text
    assert "- digits, noise 0.4: none (8), ours n=3 k=10 (8)" in text
    assert "of 15" in text
    figures.main([*folder, "--figures", str(tmp_path)])
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    results = {"noise_digits", "comparisons", "settings", "average", "stream"}
    assert drawn == {"cycle", *results}


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


@pytest.mark.parametrize("dataset", ["digits", "cancer", "classification"])
def test_defaults_leave_the_last_epoch_of_each_run(dataset, tmp_path):
    from study import defaults

    arms = ["none", "ours n=1 k=10 every=plateau"]
    command = ["--quick", "--dataset", dataset, "--results", str(tmp_path)]
    defaults.main([*command, "--arms", *arms, "--seeds", "0"])
    rows = pd.read_csv(tmp_path / f"defaults_{dataset}.csv")
    assert rows["arm"].tolist() == arms
    assert rows["epoch"].tolist() == [2, 2]
    assert rows["test_accuracy"].between(0, 1).all()


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
    arms = ["ours", "forest", "ten k=0 by loss"]
    command = ["--quick", "--dataset", "iris", "--results", str(tmp_path)]
    keel.main([*command, "--arms", *arms, "--seeds", "0"])
    rows = pd.read_csv(tmp_path / "keel_tables.csv")
    assert rows["arm"].tolist() == arms
    assert rows["test_accuracy"].between(0, 1).all()
    assert rows["snapshots"].tolist()[2] == 10


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
