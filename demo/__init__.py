"""A demonstration: the example DAGs run in a real Airflow against a local DialogTech."""
