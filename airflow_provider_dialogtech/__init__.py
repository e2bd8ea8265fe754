"""Airflow provider for sending SMS messages through the DialogTech SMS API."""

__version__ = "0.1.0"
