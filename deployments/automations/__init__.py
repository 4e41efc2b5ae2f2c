"""What operators are told, as automations of the Prefect server: the files of this folder.

A file is a Prefect automation in YAML, with two additions: `$name` stands for a setting, and
`notify` is a message that goes to the target of the settings.
"""

from deployments.automations.installing import AutomationSettings, Installed, install_automations

__all__ = ["AutomationSettings", "Installed", "install_automations"]
