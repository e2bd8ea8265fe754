"""`airflow dialogtech …` (Airflow 3.2 and later) and `python -m airflow_provider_dialogtech …` (every version)."""

from airflow_provider_dialogtech.cli.commands import get_dialogtech_cli_commands, main

__all__ = ["get_dialogtech_cli_commands", "main"]
