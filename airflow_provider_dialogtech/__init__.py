"""Airflow provider for sending SMS messages through the DialogTech SMS API."""

from airflow_provider_dialogtech import forks as forks

__version__ = "0.1.0"
