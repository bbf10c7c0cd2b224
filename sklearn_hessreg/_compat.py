"""Backports for older versions of scikit-learn and Python."""

import sys
import warnings

import sklearn

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for versions of scikit-learn without callbacks."""

        def set_callbacks(self, *callbacks):
            """Raise an ImportError: callbacks came with scikit-learn 1.9."""
            raise ImportError(
                f"set_callbacks needs scikit-learn 1.9 or newer, this is "
                f"{sklearn.__version__}. Upgrade it, or pass skorch_callbacks."
            )


_MACHINERY = {"sklearn_hessreg", "sklearn", "skorch", "torch", "joblib"}


def warn_at_caller(message, category=UserWarning):
    """Issue a warning at the user's line, even through pipelines and searches.

    The skip_file_prefixes argument of warnings.warn needs Python 3.12.
    """
    frame, stacklevel = sys._getframe(1), 2
    while frame.f_back and _package(frame) in _MACHINERY:
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, category, stacklevel=stacklevel)


def _package(frame):
    """Return the top-level package of a frame's module."""
    return frame.f_globals.get("__name__", "").partition(".")[0]


__all__ = ["CallbackSupportMixin", "warn_at_caller"]
