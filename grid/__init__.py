"""What runs and where: studies, the plan, the store, the Ray edge and the command line."""
