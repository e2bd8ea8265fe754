"""Airflow provider for texting people through the DialogTech SMS API."""

__version__ = "0.1.0"
