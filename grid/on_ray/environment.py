"""Environment variables of Ray and Tune, which are not read at import: `configure` works until Ray starts."""

import os

SETTINGS = {
    # Tune's handler swallows the first Ctrl-C.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # No result files by Tune; the results are the Parquet tables.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # No snapshots of the experiment: each would write 12 kB per trial, for all trials. Published jobs are the state.
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def configure() -> None:
    """Set the variables that are unset."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def configure_worker() -> None:
    """Set the variables of a trial's process, in that process.

    A warm process takes its next job once the thread of the last job has ended. Tune waits 2 s for it by default; on a
    busy machine it then drops the next job without notifying any callback.
    """
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "600")
