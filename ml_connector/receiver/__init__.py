"""The receiver of Business Central's notifications: it checks, stores and answers, nothing else."""
