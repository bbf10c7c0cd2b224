"""What older versions of scikit-learn lack."""

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


__all__ = ["CallbackSupportMixin"]
