"""The provider shown at work: example DAGs, a real Airflow, a local DialogTech."""
