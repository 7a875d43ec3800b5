"""The experiment grid: studies, plan, store, execution on Ray and the command line."""
