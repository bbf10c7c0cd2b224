"""Searches on dask's processes of this machine: the same as in one process."""

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from training_cases import QUICK, X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def _dask(tmp_path_factory):
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,  # it would listen to all the world
        local_directory=tmp_path_factory.mktemp("dask"),
    )
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        yield


def search():
    clf = HessianRegularizedMLPClassifier((8,), max_iter=6, random_state=0, **QUICK)
    return GridSearchCV(clf, {"k": [0, 70]}, cv=2).fit(X, Y)


@pytest.mark.usefixtures("_dask")
def test_a_grid_search_on_dask_gives_the_serial_results():
    on_dask = search()
    with joblib.parallel_config("sequential"):
        serial = search()
    for name in ("split0_test_score", "split1_test_score"):
        assert np.array_equal(on_dask.cv_results_[name], serial.cv_results_[name])
    for W, V in zip(
        on_dask.best_estimator_.coefs_, serial.best_estimator_.coefs_, strict=True
    ):
        assert np.array_equal(W, V)


@pytest.mark.usefixtures("_dask")
def test_a_search_on_dask_computes_in_its_workers():
    backend, _ = joblib.parallel.get_active_backend()
    with joblib.Parallel() as parallel:
        found = parallel(joblib.delayed(worker)() for _ in range(4))
    assert type(backend).__name__ == "DaskDistributedBackend"
    assert all(found)


def worker():
    return distributed.get_worker().address.startswith("tcp://127.0.0.1:")
