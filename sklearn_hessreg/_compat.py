"""What older versions of scikit-learn and Python lack."""

import sys
import warnings

import sklearn

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Say that this scikit-learn has no callbacks."""

        def set_callbacks(self, *callbacks):
            """Raise an ImportError: callbacks came with scikit-learn 1.9."""
            raise ImportError(
                f"set_callbacks needs scikit-learn 1.9 or newer, this is "
                f"{sklearn.__version__}. Upgrade it, or pass skorch_callbacks."
            )


_MACHINERY = {"sklearn_hessreg", "sklearn", "skorch", "torch", "joblib"}


def warn_at_caller(message, category=UserWarning):
    """Warn at the user's line, through pipelines and searches.

    The skip_file_prefixes of warnings.warn came with Python 3.12.
    """
    frame, stacklevel = sys._getframe(1), 2
    while frame.f_back and _package(frame) in _MACHINERY:
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, category, stacklevel=stacklevel)


def _package(frame):
    """Name the top package of a frame's module."""
    return frame.f_globals.get("__name__", "").partition(".")[0]


__all__ = ["CallbackSupportMixin", "warn_at_caller"]
