"""What Ray and Tune read from the environment. None of it is read at import, so `configure` may come at any time before
Ray starts."""

import os

SETTINGS = {
    # Ctrl-C reaches us; Tune's own handler swallows the first one.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # No result files of Tune's own: the Parquet is ours.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # No snapshots of the experiment while it runs: 12 kB a trial, all of them each time; published jobs are the state.
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def configure() -> None:
    """Set what is unset."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def configure_worker() -> None:
    """Set what the process of a trial reads, in that process.

    A warm process takes its next job once the thread of the last one has ended. Tune waits 2 s for that; on a machine
    too busy it then gives the next job up without telling any callback.
    """
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "600")
