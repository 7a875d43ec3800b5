"""Execution of jobs on Ray. Only this folder imports Ray."""
